"""What a person fixed for a request (model, LoRAs, steps, size, seed) and how it overrides what a planner proposes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from diffagent_tools.chat_models.writing import recommended_weight
from graphs.state import JsonDict, Options
from tool_specs.calls import Call, to_call, with_trigger_words, with_unplanned
from tool_specs.catalog import AnyCatalog, Catalog
from tool_specs.compatibility import compatible
from tool_specs.exceptions import CallError, RequestError
from tool_specs.families import FAMILIES
from tool_specs.search.shortlist import Hit, Shortlist
from tool_specs.spec import ToolSpec

DEFAULT_WEIGHT = 1.0
NUMBERS = ("steps", "width", "height")
MAX_SEED = 2**32


def narrowed(found: Shortlist, catalog: AnyCatalog, options: Options) -> Shortlist:
    """The shortlist with only the models that can do what the person fixed.

    A checkpoint that the person named is the only one left, and counts as fitting: who names a model wants it used.
    Networks that the person named are on the list whatever retrieval thought of them.

    Args:
        found: What retrieval offers.
        catalog: Where named models are looked up.
        options: What the person fixed.

    Raises:
        CatalogError: A named model is not in the catalog; the message names the nearest.
        RequestError: A named model is of the wrong type or family, or a number is outside what every model left takes.
    """
    fixed = _fixed_networks(catalog, options)
    hits, fits = found.hits or found.nearest, found.fits
    if "model" in options:
        hits, fits = (_fixed_checkpoint(found, catalog, options["model"]),), True
    elif not fits and not options.get("force"):
        return found
    hits = _those_that_take(_those_that_load(hits, fixed), fixed, options)
    if "model" not in options:
        fits = fits and any(hit.matched or not FAMILIES[hit.spec.family].closed_vocabulary for hit in hits)
    _check_rules(found, [*fixed, *(hit.spec for hit in hits)])
    known = {spec.id for spec in fixed}
    others = [hit for hit in found.networks if hit.spec.id not in known]
    networks = (*(Hit(spec=spec, score=1.0, why=("asked for",), matched=()) for spec in fixed), *others)
    usable = tuple(hit for hit in networks if any(compatible(hit.spec, model.spec).ok for model in hits))
    return replace(found, hits=hits, networks=usable, fits=fits)


def check_pins(catalog: AnyCatalog, options: Options) -> None:
    """See whether any model of the catalog can do what the person fixed, before any of them is loaded.

    Of a catalog on disk, which may hold tens of thousands, only what the person named is looked at; whether a model
    that retrieval finds can do the rest shows once it has.

    Raises:
        CatalogError: A named model is not in the catalog.
        RequestError: No model can do it; the message says why.
    """
    if not isinstance(catalog, Catalog) and "model" not in options:
        _fixed_networks(catalog, options)
        return
    specs = () if "model" in options else catalog
    models = tuple(Hit(spec=spec, score=0.0, why=(), matched=()) for spec in specs if spec.is_checkpoint)
    everything = Shortlist(request="", hits=models, networks=(), excluded=(), fits=True, nearest=())
    narrowed(everything, catalog, options)


def pinned(arguments: Mapping[str, object], catalog: AnyCatalog, options: Options, n: int) -> JsonDict:
    """The planner's arguments with what the person fixed put in their place.

    Args:
        arguments: What the planner proposes; left as it is.
        catalog: Where named networks are looked up.
        options: What the person fixed.
        n: Number of the attempt, from 1; a fixed seed moves on by one with each, or all attempts would be one picture.
    """
    result: dict[str, object] = dict(arguments)
    for name in NUMBERS:
        if name in options:
            result[name] = options[name]  # type: ignore[literal-required]
    if "seed" in options:
        result["seed"] = (options["seed"] + n - 1) % MAX_SEED
    if "loras" in options:
        fixed = _fixed_networks(catalog, options)
        weights = {catalog.get(lora["id"]).id: lora["weight"] for lora in options["loras"]}
        result["loras"] = [
            {"id": lora.id, "weight": recommended_weight(lora) if (asked := weights[lora.id]) is None else asked}
            for lora in fixed
        ]
        result["prompt"] = with_trigger_words(str(result.get("prompt", "")), fixed)
    return result  # type: ignore[return-value]


def call_of(
    spec: ToolSpec, arguments: Mapping[str, object], options: Options, networks: Sequence[ToolSpec] | None = None
) -> Call:
    """The call that arguments stand for, with what the person fixed and no planner writes.

    Args:
        spec: The checkpoint.
        arguments: Of its tool.
        options: What the person fixed.
        networks: Those on offer; None lets any be used that fits.

    Raises:
        CallError: It is not valid.
    """
    return with_unplanned(to_call(spec, arguments, shortlist=networks), options)


def at_final_size(call: Call) -> Call:
    """A call that draws in one pass what this one draws in two: for going on from the large picture.

    Its noise is varied no more: the picture that it goes on from came from the variation.
    """
    width, height = call.final_size
    return call.model_copy(update={"width": width, "height": height, "hires": None, "variation": None})


def _check_rules(found: Shortlist, specs: list[ToolSpec]) -> None:
    """See that what was named is not among what retrieval's rules forbid.

    Raises:
        RequestError: It is; the message says why.
    """
    forbidden = dict(found.excluded)
    for spec in specs:
        if spec.id in forbidden:
            msg = f"{spec.model_name} ({spec.id}) is not used here: {forbidden[spec.id]}"
            raise RequestError(msg)


def _fixed_checkpoint(found: Shortlist, catalog: AnyCatalog, name: str) -> Hit:
    """The checkpoint that the person named, with retrieval's view of it if it has one."""
    spec = catalog.get(name)
    if not spec.is_checkpoint:
        msg = f"{name!r} is {spec.model_name}, a {spec.type}, not a checkpoint: ask for it as a LoRA instead"
        raise RequestError(msg)
    seen = {hit.spec.id: hit for hit in (*found.nearest, *found.hits)}
    return seen.get(spec.id, Hit(spec=spec, score=0.0, why=("asked for",), matched=()))


def _fixed_networks(catalog: AnyCatalog, options: Options) -> list[ToolSpec]:
    """The networks that the person named, each once."""
    specs = {}
    for lora in options.get("loras", []):
        spec = catalog.get(lora["id"])
        if not spec.is_network:
            msg = f"{lora['id']!r} is {spec.model_name}, a {spec.type}, not a LoRA: ask for it as the model instead"
            raise RequestError(msg)
        specs[spec.id] = spec
    return list(specs.values())


def _those_that_load(hits: Iterable[Hit], networks: list[ToolSpec]) -> tuple[Hit, ...]:
    """The checkpoints into which every named network loads."""
    left = tuple(hits)
    for network in networks:
        verdicts = [(hit, compatible(network, hit.spec)) for hit in left]
        left = tuple(hit for hit, verdict in verdicts if verdict.ok)
        if not left:
            # The others fail for the same kind of reason, and a catalog holds thousands of them.
            reason = verdicts[0][1].reason if verdicts else "there is none"
            msg = f"{network.model_name} ({network.id}) does not load into any model left; for one, {reason}"
            raise RequestError(msg)
    return left


def _those_that_take(hits: Iterable[Hit], networks: list[ToolSpec], options: Options) -> tuple[Hit, ...]:
    """The checkpoints that take what the person fixed, tried on an otherwise ordinary call."""
    fixed: dict[str, object] = {name: options[name] for name in NUMBERS if name in options}  # type: ignore[literal-required]
    fixed["loras"] = [{"id": network.id, "weight": DEFAULT_WEIGHT} for network in networks]
    left, problem = [], ""
    for hit in hits:
        try:
            call_of(hit.spec, {"prompt": "anything", **fixed}, options)
        except CallError as error:
            problem = problem or str(error)
        else:
            left.append(hit)
    if problem and not left:
        raise RequestError(problem)
    return tuple(left)
