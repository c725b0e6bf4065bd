"""From evidence to a data set: read, filter, find near-duplicates, split, write instructions."""

from __future__ import annotations

import hashlib
import importlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from finetune.dabench.calls import Dropped
from finetune.dabench.card import card
from finetune.dabench.chat_writer import ChatWriter
from finetune.dabench.collecting import Candidate, OnStep, collect, evidence_of
from finetune.dabench.duplicates import SIMILARITY, clusters
from finetune.dabench.mapping import Sourced, read_archive
from finetune.dabench.pairs import Pair, write_pairs
from finetune.dabench.splits import Member, Shares, assign
from finetune.dabench.writers import GivenWriter, InstructionWriter, RuleWriter
from tool_specs.exceptions import ConfigError
from tool_specs.home import home_folder
from tool_specs.naming import model_id_of
from tool_specs.spec import ContentRating
from tool_specs.store.database import CatalogDatabase

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_SECRETS: Final = ("key", "token", "secret", "password")
"""Ends of the names of arguments that belong into the environment."""


class ChatSettings(BaseModel):
    """The chat model that writes instructions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(default="langchain_openai:ChatOpenAI", pattern=r"^[\w.]+:\w+$")
    """Any LangChain chat model, as `package.module:Class`."""
    arguments: dict[str, JsonValue] = {}
    """What it is made with: model, base_url, temperature, timeout, …"""
    at_once: int = Field(default=8, ge=1, le=256)
    """Questions that are asked at the same time."""
    cache: Path | None = None
    """File of its answers; None: one under `DIFFAGENT_HOME`."""

    @field_validator("arguments")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if secret := next((name for name in arguments if name.lower().endswith(_SECRETS)), None):
            msg = f"{secret!r} does not belong into settings: put it into the environment variable that the class reads"
            raise ValueError(msg)
        return arguments


class BuildSettings(BaseModel):
    """What a data set is built from, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    """Folder of the data set."""
    catalog: Path | None = None
    """Folder of the catalog with the models and, unless there is an archive, the evidence; None: the one under
    `DIFFAGENT_HOME`."""
    archive: Path | None = None
    """Archive to take the evidence from."""
    mapping: Path | None = None
    """Where the archive's records keep what; see `finetune.dabench.mapping.ArchiveMapping`."""
    writer: Literal["rules", "chat", "given"] = "rules"
    """Who writes the instructions; "given" leaves the evidence's own texts."""
    chat: ChatSettings = ChatSettings()
    rating: ContentRating = "safe"
    """The strongest content allowed."""
    similarity: float = Field(default=SIMILARITY, gt=0, le=1)
    """Least Jaccard index of near-duplicates."""
    splits: Shares = Shares()
    seed: int = 0

    @model_validator(mode="after")
    def _archive_with_mapping(self) -> Self:
        if (self.archive is None) != (self.mapping is None):
            msg = "archive and mapping belong together: give both or none"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Built:
    """A data set that was built.

    Attributes:
        pairs: All of them.
        dropped: How many pieces of evidence became no pair, by reason.
        writing: What a chat model's answers came to.
    """

    pairs: tuple[Pair, ...]
    dropped: Counter[str]
    writing: Counter[str]


def build(settings: BuildSettings, *, on_step: OnStep = lambda _what, _done, _end: None) -> Built:
    """Build a data set and write it to `settings.out`.

    Nothing is written before all instructions are there. A chat model's answers are kept as they come: the same build
    again asks only for the rest.

    Raises:
        CatalogError: There is no catalog, or it is damaged.
        ConfigError: A setting is wrong, nothing is left to make pairs of, or the folder cannot be written to.
        BackendError: The chat model cannot be reached.
    """
    writer = _writer(settings)
    with CatalogDatabase.open(settings.catalog, read_only=True) as database:

        def sources() -> Iterable[Sourced | Dropped]:
            if settings.archive is None or settings.mapping is None:
                return evidence_of(database)
            return read_archive(settings.archive, settings.mapping, database)

        as_given = settings.writer == "given"
        collected = collect(sources, database, rating=settings.rating, as_given=as_given, on_step=on_step)
        place = str(database.path.parent)
    dropped = collected.dropped
    on_step("comparing", 0, 0)
    kept: list[tuple[Candidate, str]] = []
    for candidate, split in zip(collected.candidates, _splits(collected.candidates, settings), strict=True):
        if isinstance(split, Dropped):
            dropped[split.reason] += 1
        else:
            kept.append((candidate, split))
    if not kept:
        msg = (
            f"none of {dropped.total()} pieces of evidence in {settings.archive or place} can be a pair "
            f"({_reasons(dropped) or 'there is none'}); import some with `diffagent import --evidence PAIRS`"
        )
        raise ConfigError(msg)
    pairs = []
    for pair in _written(kept, writer, settings):
        pairs.append(pair)
        on_step("writing", len(pairs), len(kept))
    writing = writer.counts if isinstance(writer, ChatWriter) else Counter[str]()
    types = {name: kind for candidate, _ in kept for name, kind in candidate.types.items()}
    write_pairs(
        settings.out, pairs, card=_card(pairs, settings, types, dropped, writing, _about_splits(kept, settings))
    )
    return Built(tuple(pairs), dropped, writing)


def _splits(candidates: Sequence[Candidate], settings: BuildSettings) -> list[str | Dropped]:
    """The split of each candidate: the one that its source gave it, else one of ours."""
    members = [Member(_pair_id(one), one.models, one.created, one.split) for one in candidates]
    near = clusters([one.description for one in candidates], similarity=settings.similarity)
    return assign(members, near.tolist(), settings.splits, settings.seed)


def _written(
    kept: Sequence[tuple[Candidate, str]], writer: InstructionWriter, settings: BuildSettings
) -> Iterator[Pair]:
    """The pairs in order; a chat model is asked several questions at once."""

    def write(entry: tuple[Candidate, str]) -> Pair:
        candidate, split = entry
        name = _pair_id(candidate)
        rng = random.Random(f"{settings.seed} {name}")  # noqa: S311 - words, no secret
        return Pair(
            id=name,
            instruction=writer.write(candidate.text, rng, avoid=candidate.avoid),
            reference=candidate.description,
            call=candidate.call.model_dump(mode="json"),
            split=split,
            source=candidate.source,
            created=candidate.created,
            wording=writer.name,
        )

    if not isinstance(writer, ChatWriter):
        yield from map(write, kept)
        return
    pool = ThreadPoolExecutor(settings.chat.at_once)
    try:
        yield from pool.map(write, kept)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pair_id(candidate: Candidate) -> str:
    """The same words and models always have the same id."""
    return "da-" + hashlib.blake2b(" ".join(candidate.answer).encode(), digest_size=8).hexdigest()


def _writer(settings: BuildSettings) -> InstructionWriter:
    if settings.writer == "rules":
        return RuleWriter()
    if settings.writer == "given":
        return GivenWriter()
    cache = settings.chat.cache or home_folder() / "dabench" / "instructions.jsonl"
    return ChatWriter(_chat_model(settings.chat), cache=cache.expanduser())


def _chat_model(chat: ChatSettings) -> BaseChatModel:
    from langchain_core.language_models import BaseChatModel

    module, _, name = chat.kind.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        msg = f"the package of {chat.kind} is not installed ({error}); pip install {package}"
        raise ConfigError(msg) from error
    except AttributeError:
        kind = None
    if not (isinstance(kind, type) and issubclass(kind, BaseChatModel)):
        msg = f"{chat.kind} is no LangChain chat model; write package.module:Class, as langchain_openai:ChatOpenAI"
        raise ConfigError(msg)
    try:
        return cast("Callable[..., BaseChatModel]", kind)(**chat.arguments)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        msg = f"{chat.kind} cannot be made with {sorted(chat.arguments)} ({reason}); correct chat.arguments"
        raise ConfigError(msg) from error


def _card(
    pairs: Sequence[Pair],
    settings: BuildSettings,
    types: dict[str, str],
    dropped: Counter[str],
    writing: Counter[str],
    about_splits: str,
) -> str:
    shares = settings.splits
    about = (
        f"Instructions and the calls that drew them, made with `diffagent-train dabench build` from "
        f"{'an archive' if settings.archive else 'the evidence of a catalog'}: seed {settings.seed}, content up to "
        f"{settings.rating!r}, near-duplicates from a Jaccard index of {settings.similarity} on, shares dev "
        f"{shares.dev:g}, test {shares.test:g}, unseen models {shares.unseen:g}, time {shares.time:g}. "
        f"{about_splits}"
    )
    if writing:
        about += f" The chat model {settings.chat.arguments.get('model', settings.chat.kind)}: {_reasons(writing)}."
    return card(pairs, title="Instructions and calls", about=about, types=types, dropped=dropped)


def _about_splits(kept: Sequence[tuple[Candidate, str]], settings: BuildSettings) -> str:
    """What holds for the splits: counted, because an archive's own splits may be anything."""
    homes: dict[int, set[str]] = {}
    for candidate, split in kept:
        for model in candidate.models:
            homes.setdefault(model_id_of(model), set()).add(split)
    unseen = [candidate for candidate, split in kept if split == "unseen"]
    own = sum(any(len(homes[model_id_of(model)]) == 1 for model in one.models) for one in unseen)
    whose = "Every pair of `unseen` has" if own == len(unseen) else f"{own:,} of {len(unseen):,} pairs of `unseen` have"
    said = [f"{whose} a model that no other split has."]
    given = [candidate for candidate, _ in kept if candidate.split]
    if not given:
        return " ".join([*said, "`time` has the newest models."])
    near: dict[int, list[str]] = {}
    numbers = clusters([one.description for one in given], similarity=settings.similarity).tolist()
    for one, cluster in zip(given, numbers, strict=True):
        near.setdefault(cluster, []).append(one.split)
    crossing = sum(len(splits) for splits in near.values() if len(set(splits)) > 1)
    said.append(
        f"The archive gives {len(given):,} pairs their split; {crossing:,} of them have near-duplicates in another of "
        f"its splits. Of the other pairs, `time` has those with the newest models."
    )
    return " ".join(said)


def _reasons(counts: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in counts.most_common())
