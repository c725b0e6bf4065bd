"""The hard rules: which specs may not be offered at all, whatever they are good at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tool_specs.families import FAMILIES
from tool_specs.spec import GONE, RATINGS, ContentRating, ToolSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be offered.

    Attributes:
        ratings: Content ratings that are allowed.
        availabilities: How a version may be available; early access costs money.
        commercial: Whether pictures must be allowed to be sold.
        disk: Largest weights file that can still be downloaded, in bytes; None for any.
        memory: Largest weights file that the device can hold, in bytes; None for any.
        on_disk: Spec ids whose weights are here already: they need no download, whatever became of their page.
    """

    ratings: tuple[ContentRating, ...] = ("safe",)
    availabilities: tuple[str, ...] = ("Public",)
    commercial: bool = False
    disk: int | None = None
    memory: int | None = None
    on_disk: frozenset[str] = frozenset()

    def reason_against(self, spec: ToolSpec) -> str:
        """Why a spec may not be offered, in a few words; empty where nothing speaks against it."""
        return next((reason for holds, reason in _OBJECTIONS if holds(spec, self)), "").format(
            spec=spec, size=_bytes_of(spec) / GB, rules=self
        )

    @property
    def offer(self) -> int | None:
        """The bit of `offers_of` that these rules ask for, but for disk and memory; None where there is none."""
        usual = replace(self, disk=None, memory=None, on_disk=frozenset())
        return _OFFERS.get(usual)


def offers_of(spec: ToolSpec) -> int:
    """Which usual rules a spec passes, one bit each: a spec's row in an index tells what need not be looked at."""
    return sum(1 << bit for rules, bit in _OFFERS.items() if not rules.reason_against(spec))


GB: Final = 10**9


def _bytes_of(spec: ToolSpec) -> float:
    """The size of a spec's weights in bytes; 0 where unknown."""
    return spec.primary_file.size_kb * 1024 if spec.primary_file else 0.0


def _is_remote(spec: ToolSpec, rules: Rules) -> bool:
    return spec.id not in rules.on_disk


_OBJECTIONS: tuple[tuple[Callable[[ToolSpec, Rules], bool], str], ...] = (
    (lambda spec, _: not (spec.is_checkpoint or spec.is_network), "a {spec.type} draws nothing by itself"),
    (lambda spec, _: not FAMILIES[spec.family].drawable, "its base model {spec.base_model!r} cannot be drawn here"),
    (lambda spec, rules: spec.content_rating not in rules.ratings, "its content is rated {spec.content_rating}"),
    (lambda spec, rules: rules.commercial and not spec.license.may_sell_images, "its pictures may not be sold"),
    (
        lambda spec, rules: _is_remote(spec, rules) and spec.availability in GONE.difference(rules.availabilities),
        "its files cannot be had any more ({spec.availability})",
    ),
    (
        lambda spec, rules: _is_remote(spec, rules) and spec.availability not in rules.availabilities,
        "its availability is {spec.availability}",
    ),
    (lambda spec, rules: _is_remote(spec, rules) and spec.primary_file is None, "it has no weights file"),
    (
        lambda spec, _: spec.primary_file is not None and not spec.primary_file.is_safe,
        "its weights are no scanned safetensors file",
    ),
    (
        lambda spec, rules: rules.disk is not None and _is_remote(spec, rules) and _bytes_of(spec) > rules.disk,
        "its file of {size:.1f} GB does not fit on the disk",
    ),
    (
        lambda spec, rules: rules.memory is not None and _bytes_of(spec) > rules.memory,
        "its file of {size:.1f} GB does not fit into the device's memory",
    ),
)

_OFFERS: Final = {
    Rules(ratings=RATINGS[:number], commercial=commercial): len(RATINGS) * commercial + number - 1
    for commercial in (False, True)
    for number in range(1, len(RATINGS) + 1)
}
