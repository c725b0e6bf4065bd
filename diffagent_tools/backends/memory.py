"""How much memory loaded checkpoints may take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    import torch

VRAM_VARIABLE: Final = "DIFFAGENT_VRAM_GB"
RAM_VARIABLE: Final = "DIFFAGENT_RAM_GB"

VRAM_SHARE: Final = 0.7
"""Part of the free VRAM that loaded weights take by default; the rest is for what a picture needs while it is drawn."""
RAM_SHARE: Final = 0.5
"""Part of the free RAM that loaded weights take by default; the system and the reading of files need the rest."""


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Bytes that the weights of loaded checkpoints may take.

    The checkpoint that draws stays loaded whatever its size; the budget says how much may be kept beside it.

    Attributes:
        vram: On an accelerator. None: a part of what is free when the first picture is drawn, `VRAM_SHARE`.
        ram: In RAM: on the CPU everything, with an accelerator the checkpoints that have left it. None: likewise,
            `RAM_SHARE`.
    """

    vram: int | None = None
    ram: int | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """What `DIFFAGENT_VRAM_GB` and `DIFFAGENT_RAM_GB` say, in GB (10⁹ bytes); the default where they say nothing.

        Raises:
            ConfigError: One is not a number of GB.
        """
        return cls(vram=_bytes_in(VRAM_VARIABLE), ram=_bytes_in(RAM_VARIABLE))

    def on(self, device: torch.device) -> int:
        """The bytes for weights on a device, "cpu" being the RAM."""
        import psutil
        import torch

        if device.type == "cpu":
            return int(psutil.virtual_memory().available * RAM_SHARE) if self.ram is None else self.ram
        return int(torch.cuda.mem_get_info(device)[0] * VRAM_SHARE) if self.vram is None else self.vram


def _bytes_in(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        gigabytes = float(text)
        if not 0 <= gigabytes < 1e6:
            raise ValueError
    except ValueError as error:
        msg = f"{variable} is {text[:40]!r}; set it to a number of GB such as 12, or unset it"
        raise ConfigError(msg) from error
    return int(gigabytes * 1e9)
