"""The arguments of one tool: a call narrowed to what is valid for one checkpoint and one shortlist.

Everything that a planner could get wrong is an enum or a bound here, so structured decoding cannot invent a name. The
JSON schema stays in the subset that every strict mode understands: all properties required, null instead of optional,
no additional properties, no `oneOf`, `allOf` or patterns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tool_specs.calls.family_calls import call_model
from tool_specs.calls.models import MAX_PROMPT, UNPLANNED_FIELDS, Call
from tool_specs.calls.seeds import Seed
from tool_specs.compatibility import compatible
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES, Family
from tool_specs.spec import Recommended, ToolSpec
from tool_specs.validation import one_line, shown

_SIZE_STEP = 64
_MAX_NAME = 60
_MAX_TRIGGERS = 3
"""Trigger words told of a network; some list dozens of them, most for single costumes or poses."""
_MARKS = str.maketrans(";<>[]", ",‹›()")
"""What stands between networks, and what language models take for marks of their own."""


class _Network(NamedTuple):
    """What is told of a network on offer."""

    id: str
    name: str
    trigger_words: tuple[str, ...]

    def __str__(self) -> str:
        """Its id and name, and what calls it; names and words are a stranger's: none can fake another entry."""
        told = f"{self.id} is {_quoted(self.name)}"
        return f"{told} triggered by {_quoted(', '.join(self.trigger_words))}" if self.trigger_words else told


class Arguments(BaseModel):
    """What a planner fills in for one tool; made by `arguments_model`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra=lambda schema: _make_portable(schema),
    )

    checkpoint: ClassVar[str]
    """Spec id of the tool that the arguments belong to."""


def arguments_model(spec: ToolSpec, shortlist: Sequence[ToolSpec] = ()) -> type[Arguments]:
    """The narrowed arguments of one checkpoint.

    Args:
        spec: A checkpoint.
        shortlist: Specs on offer with it; the networks among them that load into the checkpoint are the only ones that
            `loras` accepts. Without any, `loras` accepts only an empty list.

    Returns:
        A model with the fields loras, prompt, negative_prompt, sampler, steps, cfg_scale, width, height, clip_skip,
        seed; the same class for the same checkpoint and networks.

    Raises:
        CallError: `spec` is no checkpoint, or its family cannot be drawn here.
    """
    if not spec.is_checkpoint:
        msg = f"{spec.id} is a {spec.type}: only a checkpoint draws; name the network in a checkpoint's loras"
        raise CallError(msg)
    call_model(spec.family)
    networks = {
        other.id: _Network(other.id, other.model_name, other.trigger_words[:_MAX_TRIGGERS])
        for other in shortlist
        if other.is_network and compatible(other, spec).ok
    }
    return _arguments_model(spec.id, spec.tool_name, spec.family, spec.recommended, tuple(networks.values()))


def to_call(
    spec: ToolSpec, arguments: BaseModel | Mapping[str, object], *, shortlist: Sequence[ToolSpec] | None = None
) -> Call:
    """Turn a planner's arguments into a call of the spec's family.

    Args:
        spec: The checkpoint whose tool was called.
        arguments: What the planner filled in. In a mapping, parameters may be missing: the recommended ones stand in.
        shortlist: The specs that were on offer. Where given, networks outside of it or of another architecture are
            refused.

    Raises:
        CallError: In one line, which parameter is wrong, its value, and what is allowed.
    """
    given = arguments.model_dump() if isinstance(arguments, BaseModel) else dict(arguments)
    if not spec.is_checkpoint:
        msg = f"{spec.id} is a {spec.type}: only a checkpoint draws; name the network in a checkpoint's loras"
        raise CallError(msg)
    if shortlist is not None:
        _check_networks(spec, given.get("loras"), shortlist)
    model = call_model(spec.family)
    for name in given.keys() & set(UNPLANNED_FIELDS):
        msg = f"{spec.tool_name}: {name} is not a parameter of this tool: leave it out"
        raise CallError(msg)
    try:
        return model.model_validate({**_recommended(spec), **given, "family": spec.family, "checkpoint": spec.id})
    except ValidationError as error:
        msg = f"{spec.tool_name}: {one_line(error)}"
        raise CallError(msg) from None


def _recommended(spec: ToolSpec) -> dict[str, object]:
    """The recommended parameters as arguments of a call."""
    recommended = spec.recommended
    return {
        "sampler": recommended.sampler,
        "steps": round(recommended.steps.median),
        "cfg_scale": recommended.cfg_scale.median,
        "width": recommended.width,
        "height": recommended.height,
        "clip_skip": recommended.clip_skip,
        "negative_prompt": recommended.negative_prompt,
    }


def _check_networks(spec: ToolSpec, loras: object, shortlist: Sequence[ToolSpec]) -> None:
    """Refuse networks that were not on offer or do not fit, with the reason and what would fit."""
    offered = {other.id: other for other in shortlist if other.is_network}
    fitting = [network.id for network in offered.values() if compatible(network, spec).ok]
    for use in loras if isinstance(loras, list | tuple) else ():
        named = use.get("id") if isinstance(use, Mapping) else getattr(use, "id", None)
        if named in fitting:
            continue
        network = offered.get(named) if isinstance(named, str) else None
        reason = compatible(network, spec).reason if network else "it is not in the shortlist"
        remedy = f"use one of {', '.join(fitting)}" if fitting else "leave loras empty"
        msg = f"{spec.tool_name}: loras names {shown(named)}, but {reason}; {remedy}"
        raise CallError(msg)


@lru_cache(maxsize=256)
def _arguments_model(
    checkpoint: str, name: str, family_name: str, recommended: Recommended, networks: tuple[_Network, ...]
) -> type[Arguments]:
    family = FAMILIES[family_name]
    # The values of an enum are known only here, which `Literal` in a type expression cannot say.
    samplers: Any = Literal[family.samplers]
    widths: Any = Literal[_sizes(family, recommended.width)]
    heights: Any = Literal[_sizes(family, recommended.height)]
    negative: Any = Annotated[str, Field(max_length=MAX_PROMPT)] if family.has_negative_prompt else Literal[""]
    lora: Any = _lora_model(networks)
    loras: Any = Annotated[tuple[lora, ...], Field(max_length=family.max_loras if networks else 0)]
    fields: dict[str, Any] = {
        # First: who has chosen the networks knows which trigger words the prompt needs.
        "loras": (loras, Field(description=_loras_description(networks))),
        "prompt": (
            Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)],
            Field(description="What to draw, in words and phrases, with the trigger words of the networks used."),
        ),
        "negative_prompt": (negative, Field(description="What should not be in the picture; may be empty.")),
        "sampler": (samplers, Field(description=f"Recommended: {recommended.sampler}.")),
        "steps": (
            Annotated[int, Field(ge=family.min_steps, le=family.max_steps)],
            Field(description=f"Denoising steps. Recommended: {recommended.steps.median:.0f}."),
        ),
        "cfg_scale": (
            Annotated[float, Field(ge=family.min_cfg_scale, le=family.max_cfg_scale)],
            Field(description=f"How closely to follow the prompt. Recommended: {recommended.cfg_scale.median:g}."),
        ),
        "width": (widths, Field(description=f"Pixels. Recommended: {recommended.width}.")),
        "height": (heights, Field(description=f"Pixels. Recommended: {recommended.height}.")),
        "clip_skip": (
            Annotated[int, Field(ge=1, le=family.max_clip_skip)],
            Field(description=f"Text encoder layer to stop at, from the end. Recommended: {recommended.clip_skip}."),
        ),
        "seed": (Seed | None, Field(description="Null for a new picture each time; a number to repeat one.")),
    }
    model: type[Arguments] = create_model(
        "".join(part.capitalize() for part in name.split("_")), __base__=Arguments, __module__=__name__, **fields
    )
    model.checkpoint = checkpoint
    return model


def _lora_model(networks: tuple[_Network, ...]) -> Any:
    """The entry of `loras`: an id out of those that fit, and a weight."""
    ids: Any = Literal[tuple(network.id for network in networks)] if networks else str
    return create_model(
        "Lora",
        __base__=Arguments,
        id=(ids, Field(description="Which network.")),
        weight=(Annotated[float, Field(ge=-2, le=2)], Field(description="Its strength, around 0.7 to 1.")),
    )


def _loras_description(networks: tuple[_Network, ...]) -> str:
    if not networks:
        return "No network fits this model: leave it empty."
    return "Networks to add, or none. " + "; ".join(map(str, networks))


def _quoted(words: str) -> str:
    return repr(words.translate(_MARKS)[:_MAX_NAME])


def _sizes(family: Family, recommended: int) -> tuple[int, ...]:
    """Sizes to offer, in pixels: steps of 64, or of the family's multiple where its pictures are small."""
    step = _SIZE_STEP if family.max_size > 4 * _SIZE_STEP else family.size_multiple
    return tuple(sorted({*range(family.min_size, family.max_size + 1, step), recommended}))


def _make_portable(schema: dict[str, Any]) -> None:
    """Write one-value enums as `enum`, and drop titles and the description that names a Python class."""
    schema.pop("title", None)
    schema.pop("description", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if "const" in field:
            field["enum"] = [field.pop("const")]
