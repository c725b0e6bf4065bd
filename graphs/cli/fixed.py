"""From the command line's options to the options of a request."""

from __future__ import annotations

from typing import cast

from graphs.request import checked_options
from graphs.state import Options


def options_of(fixed: dict[str, object], **others: object) -> Options:
    """The options that were given, checked; those that were not are left out.

    Args:
        fixed: Values of `graphs.cli.options.fixed_options`.
        others: Options of a single command, by their name in `Options`.

    Raises:
        RequestError: One of them is out of range.
    """
    given = {**fixed, **others}
    size = cast("tuple[int, int] | None", given.pop("size", None))
    loras = cast("tuple[tuple[str, float | None], ...]", given.pop("loras", ()))
    if size is not None:
        given["width"], given["height"] = size
    if loras:
        given["loras"] = [{"id": name, "weight": weight} for name, weight in loras]
    # Not `in (None, False)`: 0 equals False, and 0 steps are to be refused, not ignored.
    chosen = {key: value for key, value in given.items() if value is not None and value is not False}
    return checked_options(cast("Options", chosen))
