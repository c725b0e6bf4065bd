"""What creator and base model allow, out of the four ways in which records encode it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from tool_specs.civitai.values import flag_of
from tool_specs.spec import License

CommercialUse = Literal["Image", "RentCivit", "Rent", "Sell"]

_CUMULATIVE: Final[Mapping[str, tuple[CommercialUse, ...]]] = MappingProxyType(
    {
        "None": (),
        "Image": ("Image",),
        "RentCivit": ("Image", "RentCivit"),
        "Rent": ("Image", "RentCivit", "Rent"),
        "Sell": ("Image", "RentCivit", "Rent", "Sell"),
    }
)
"""In the single-word form of 2023 each use includes the ones before it."""

_SD: Final = ("CreativeML Open RAIL-M", False)
_SDXL: Final = ("CreativeML Open RAIL++-M", False)
_STABILITY: Final = ("Stability AI Community License Agreement", False)
_FLUX_DEV: Final = ("FLUX.1 [dev] Non-Commercial License", True)
_APACHE: Final = ("Apache 2.0", False)
BASE_MODEL_LICENSES: Final = MappingProxyType(
    {
        "SD 1.4": _SD, "SD 1.5": _SD, "SD 1.5 LCM": _SD, "SD 1.5 Hyper": _SD,
        "SD 2.0": _SDXL, "SD 2.0 768": _SDXL, "SD 2.1": _SDXL, "SD 2.1 768": _SDXL, "SD 2.1 Unclip": _SDXL,
        "SDXL 0.9": ("SDXL 0.9 research license", True), "SDXL 1.0": _SDXL, "SDXL 1.0 LCM": _SDXL,
        "SDXL Lightning": _SDXL, "SDXL Hyper": _SDXL, "SDXL Distilled": _SDXL,
        "SDXL Turbo": ("Stability AI Non-Commercial Research Community License", True),
        "Pony": _SD, "Illustrious": ("Illustrious License", False), "NoobAI": ("NoobAI License", True),
        "Flux.1 D": _FLUX_DEV, "Flux.1 Krea": _FLUX_DEV, "Flux.1 S": _APACHE,
        "Chroma": _APACHE, "Qwen": _APACHE, "ZImageTurbo": _APACHE, "ZImageBase": _APACHE,
        "SD 3": _STABILITY, "SD 3.5": _STABILITY, "SD 3.5 Large": _STABILITY, "SD 3.5 Large Turbo": _STABILITY,
        "SD 3.5 Medium": _STABILITY,
    }
)  # fmt: skip
"""Base model to its licence and whether that forbids commercial use of the weights."""


def license_of(record: Mapping[str, object], base_model: str) -> License:
    """Read the licence fields of a model record."""
    different = record.get("allowDifferentLicense", record.get("allowDifferentLicenses"))
    name, non_commercial = BASE_MODEL_LICENSES.get(base_model, ("", False))
    return License(
        allow_no_credit=flag_of(record.get("allowNoCredit"), default=True),
        commercial_use=commercial_use(record.get("allowCommercialUse")),
        allow_derivatives=flag_of(record.get("allowDerivatives"), default=True),
        allow_different_license=flag_of(different, default=True),
        base_model_license=name,
        non_commercial=non_commercial,
    )


def commercial_use(value: object) -> tuple[CommercialUse, ...]:
    """Read `allowCommercialUse`: one word (2023), a list (2024 on), a Postgres literal `{Image,Rent}`, or nothing.

    What is unknown or missing counts as forbidden.
    """
    if isinstance(value, str) and value in _CUMULATIVE:
        return _CUMULATIVE[value]
    words = re.findall(r"\w+", value) if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(use for use in _CUMULATIVE["Sell"] if use in words)
