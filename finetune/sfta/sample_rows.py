"""Rows for stage 1 from a data set: each pair with a shortlist of the real retriever, as serving would show it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import track

from diffagent_tools.chat_models.rendering import template_variables
from diffagent_tools.chat_models.template_variables import TemplateVariables
from diffagent_tools.planning import SHORTLIST_SIZE
from diffagent_tools.tools.generation import tool_names
from finetune.dabench.calls import NO_MODEL
from finetune.dabench.drawing import seed_of
from finetune.dabench.left_out import LeftOut
from finetune.dabench.pairs import Pair, read_pairs
from finetune.json_lines import JsonLines
from finetune.origin import check_same_origin
from finetune.sfta.candidates import arguments_of
from finetune.sfta.encoding import SampleRow, file_sha256
from finetune.sfta.samples import Sample, calling, declining, rendered, sample_of
from tool_specs.exceptions import CatalogError, RequestError
from tool_specs.naming import model_id_of
from tool_specs.search.reasons import NEAREST
from tool_specs.search.shortlist import AnyShortlister, Hit, Shortlist

WIDE = 500
"""So far down its list retrieval is asked about a gold model that it missed."""


class SampleSettings(BaseModel):
    """What `diffagent-train samples` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A folder with the tokenizer whose chat template renders the rows, or the name of a model on the hub."""
    data: Path
    """A DABench folder."""
    split: str = "train"
    out: Path
    """JSON lines for `diffagent-train sft`; rows that are there already are not made again."""
    catalog: Path | None = None
    """Folder of a stored catalog; None: the pocket models."""
    absent: float = Field(default=0.1, ge=0, lt=1)
    """Share of the shortlists from which the right checkpoint is taken: then declining is right."""
    closed_book: bool = False
    """No shortlist: the planner has to know every model by heart, as in the paper."""
    shortlist_size: int = Field(default=SHORTLIST_SIZE, gt=0)
    template: TemplateVariables | None = None
    """Variables of the chat template, such as `enable_thinking: false`; they stay with the model that learns the rows.
    None: those that are kept beside `model`, else those with which its template writes no thought before an answer."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the pairs of a split.

    Attributes:
        rows: How many rows the file has.
        left_out: The pairs without a row.
    """

    rows: int
    left_out: tuple[LeftOut, ...]


def write_samples(settings: SampleSettings) -> Written:
    """Write the rows of a split; progress goes to standard error.

    Args:
        settings: The settings.

    Returns:
        How many rows there are, and which pairs have none, and why.

    Raises:
        ConfigError: A setting or the data set is wrong, a package is missing, or the file holds rows of other settings.
        CatalogError: The catalog cannot be read.
    """
    from finetune.dabench.workbench import opened_catalog, search_over, stamp_of
    from finetune.sfta.models import load_tokenizer

    tokenizer = load_tokenizer(settings.model)
    template = settings.template
    if template is None:
        template = template_variables(Path(settings.model), tokenizer)
    pairs = read_pairs(settings.data, settings.split)
    told = settings.model_dump(mode="json", exclude={"model", "data", "out", "catalog"})
    told |= {
        "template": template,
        "data": file_sha256(settings.data / f"{settings.split}.parquet"),
        "chat template": hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest(),
    }
    left_out: list[LeftOut] = []
    with ExitStack() as stack:
        catalog = opened_catalog(settings.catalog, stack)
        check_same_origin(settings.out, told | {"catalog": stamp_of(catalog)})
        shortlister = search_over(catalog, settings.data)
        lines = JsonLines(settings.out, SampleRow)
        done = {row.id for row in lines.read()}
        console = Console(stderr=True)
        for pair in track(pairs, description="writing samples", console=console):
            if pair.id in done:
                continue
            sample = pair_sample(pair, shortlister, settings)
            if isinstance(sample, LeftOut):
                left_out.append(sample)
            else:
                lines.append(SampleRow(**rendered(sample, tokenizer, **template), template=template))
                done.add(pair.id)
    return Written(len(done), tuple(left_out))


def pair_sample(pair: Pair, shortlister: AnyShortlister, settings: SampleSettings) -> Sample | LeftOut:
    """A pair as serving would show it: the gold models among the shortlist at random places, or sometimes not at all.

    Returns:
        The sample; or why there is none: serving would refuse the instruction, or a gold model is not in the catalog.
    """
    rng = np.random.default_rng((settings.seed, seed_of(pair.id)))
    try:
        found = shortlister.shortlist(pair.instruction, k=settings.shortlist_size)
    except RequestError as error:
        return LeftOut(pair=pair.id, reason=str(error))
    try:
        shortlist = with_gold(found, pair, shortlister, rng, size=settings.shortlist_size)
    except CatalogError:
        return LeftOut(pair=pair.id, reason=NO_MODEL)
    if pair.call is not None and not settings.closed_book and rng.random() < settings.absent:
        gone = model_id_of(pair.models[0])
        left = tuple(hit for hit in shortlist.hits if hit.spec.model_id != gone)
        shortlist = replace(shortlist, hits=left) if left else shortlist
    tool = tool_names(shortlist).get(pair.models[0]) if pair.call is not None else None
    answer = declining() if pair.call is None or tool is None else calling(tool, arguments_of(pair.call))
    return sample_of(pair.id, pair.instruction, shortlist, answer, closed_book=settings.closed_book)


def with_gold(
    found: Shortlist, pair: Pair, shortlister: AnyShortlister, rng: np.random.Generator, *, size: int
) -> Shortlist:
    """A shortlist in random order with the gold models in it; where retrieval missed them they take the last places.

    Raises:
        CatalogError: The catalog does not hold a gold model.
    """
    gold = _gold_hits(found, pair, shortlister)
    hits = _holding(found.hits, [hit for hit in gold if hit.spec.is_checkpoint], size)
    networks = _holding(found.networks, [hit for hit in gold if hit.spec.is_network], size)
    return replace(
        found, hits=tuple(hits[n] for n in rng.permutation(len(hits))),
        networks=tuple(networks[n] for n in rng.permutation(len(networks))),
    )  # fmt: skip


def _gold_hits(found: Shortlist, pair: Pair, shortlister: AnyShortlister) -> list[Hit]:
    """The gold models with retrieval's reasons for them: one without a reason would stand out as the answer."""
    specs = [shortlister.catalog.get(name) for name in pair.models]
    if not {spec.model_id for spec in specs} <= {spec.model_id for spec in found.specs}:
        found = shortlister.shortlist(pair.instruction, k=WIDE)
    known = {hit.spec.model_id: hit for hit in (*found.hits, *found.networks)}
    return [replace(known.get(spec.model_id, Hit(spec, 0.0, (NEAREST,))), spec=spec) for spec in specs]


def _holding(hits: Sequence[Hit], gold: Sequence[Hit], size: int) -> list[Hit]:
    """The hits with gold ones among them: serving shows one version of a model, so a gold one takes another's place."""
    wanted = {hit.spec.model_id for hit in gold}
    others = [hit for hit in hits if hit.spec.model_id not in wanted]
    return [*gold, *others[: max(0, size - len(gold))]]
