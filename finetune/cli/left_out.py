"""What a command says of pairs that nothing could be made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from finetune.dabench.left_out import LeftOut


def tell_left_out(pairs: Sequence[LeftOut]) -> None:
    """Write to standard error how many pairs were left out and why; nothing where there is none."""
    from finetune.dabench.left_out import counted

    if pairs:
        click.echo("\n".join(["left out:", *counted(pairs)]), err=True)
