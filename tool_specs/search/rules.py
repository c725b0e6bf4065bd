"""The hard rules: which specs may not be offered at all, whatever they are good at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tool_specs.families import FAMILIES
from tool_specs.spec import GONE, ContentRating, ToolSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be offered.

    Attributes:
        ratings: Content ratings that are allowed.
        availabilities: How a version may be available; early access costs money.
    """

    ratings: tuple[ContentRating, ...] = ("safe",)
    availabilities: tuple[str, ...] = ("Public",)

    def reason_against(self, spec: ToolSpec) -> str:
        """Why a spec may not be offered, in a few words; empty where nothing speaks against it."""
        return next((reason for holds, reason in _OBJECTIONS if holds(spec, self)), "").format(spec=spec)


_OBJECTIONS: tuple[tuple[Callable[[ToolSpec, Rules], bool], str], ...] = (
    (lambda spec, _: not (spec.is_checkpoint or spec.is_network), "a {spec.type} draws nothing by itself"),
    (lambda spec, _: not FAMILIES[spec.family].drawable, "its base model {spec.base_model!r} cannot be drawn here"),
    (lambda spec, rules: spec.content_rating not in rules.ratings, "its content is rated {spec.content_rating}"),
    (
        lambda spec, rules: spec.availability in GONE.difference(rules.availabilities),
        "its files cannot be had any more ({spec.availability})",
    ),
    (lambda spec, rules: spec.availability not in rules.availabilities, "its availability is {spec.availability}"),
    (lambda spec, _: spec.primary_file is None, "it has no weights file"),
    (
        lambda spec, _: spec.primary_file is not None and not spec.primary_file.is_safe,
        "its weights are no scanned safetensors file",
    ),
)
