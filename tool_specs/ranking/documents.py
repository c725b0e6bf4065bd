"""What is indexed of models and of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final, Self

import numpy as np

from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.postings import Postings
from tool_specs.ranking.segments import Segment
from tool_specs.ranking.texts import grams, numbered, phrases, pieces, words
from tool_specs.rules import offers_of
from tool_specs.spec import CHECKPOINT_TYPES, NETWORK_TYPES, ToolSpec

CHECKPOINT, NETWORK, OTHER = 0, 1, 2
"""Kinds of model: what draws, what loads into it, and the rest."""
KINDS: Final = {**dict.fromkeys(CHECKPOINT_TYPES, CHECKPOINT), **dict.fromkeys(NETWORK_TYPES, NETWORK)}
"""By model type; any other is of the kind `OTHER`."""

MEAN_GRAMS: Final = 44.0
MEAN_PHRASES: Final = 10.0
MEAN_TEXT: Final = 62.0
MEAN_NAME: Final = 4.5
MEAN_PIECES: Final = 34.0
"""Lengths of an ordinary document by field, in terms, as measured on real ones."""
MAX_DESCRIPTION: Final = 500
"""Characters of a description that are indexed: nobody rises by writing more."""
MAX_TRIGGER_WORDS: Final = 20


@dataclass(frozen=True, slots=True)
class Prompt:
    """A real prompt and the models that it was drawn with."""

    number: int
    text: str
    model_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What is indexed of one version: much less than its spec, so that all of a catalog fits into memory."""

    model_id: int
    version_id: int
    name: str
    kind: int
    embedding: bool
    base_model: str
    tags: tuple[str, ...]
    triggers: tuple[str, ...]
    description: str
    stem: str
    downloads: int | None
    creator: str
    offers: int

    @classmethod
    def of(cls, spec: ToolSpec) -> Self:
        """Take from a spec what is indexed."""
        return cls(
            model_id=spec.model_id,
            version_id=spec.version_id,
            name=spec.model_name,
            kind=KINDS.get(spec.type, OTHER),
            embedding=spec.type == "TextualInversion",
            base_model=spec.base_model,
            tags=spec.tags,
            triggers=(spec.trigger_phrases or spec.trigger_words)[:MAX_TRIGGER_WORDS],
            description=spec.description[:MAX_DESCRIPTION],
            stem=spec.files[0].stem if spec.files else "",
            downloads=spec.stats.downloads,
            creator=spec.creator or "",
            offers=offers_of(spec),
        )


def prompt_segment(prompts: Sequence[Prompt], encoder: Encoder) -> Segment:
    """Index prompts: words with pairs of words, phrases, and a vector."""
    found = [numbered(grams(words(prompt.text))) for prompt in prompts]
    return Segment(
        columns={
            "id": np.array([prompt.number for prompt in prompts], dtype=np.int64),
            "vector": encoder.vectors(found),
        },
        fields={
            "grams": Postings.of(found, mean_length=MEAN_GRAMS),
            "phrases": Postings.of([numbered(phrases(prompt.text)) for prompt in prompts], mean_length=MEAN_PHRASES),
        },
        link_documents=np.repeat(np.arange(len(prompts)), [len(prompt.model_ids) for prompt in prompts]),
        link_values=np.array([one for prompt in prompts for one in prompt.model_ids], dtype=np.int64),
    )


def model_segment(models: Sequence[Sequence[Described]], encoder: Encoder) -> Segment:
    """Index models, each given as its versions: what is written about them, and what is known of them.

    Columns: `version` (the newest), `kind`, `popularity` (log of downloads, NaN where unknown), `embedding` (whether a
    textual inversion), `creator` (a term, 0 where unknown), `offers` (bits of the rules that some version
    passes). Links: terms of the base models that it has versions for.
    """
    texts = [text_of(versions) for versions in models]
    links = [(n, base) for n, versions in enumerate(models) for base in {version.base_model for version in versions}]
    creators = numbered([versions[0].creator for versions in models]).astype(np.int64)
    return Segment(
        columns={
            "id": np.array([versions[0].model_id for versions in models], dtype=np.int64),
            "vector": encoder.vectors([numbered(text.grams) for text in texts]),
            "version": np.array([max(one.version_id for one in versions) for versions in models], dtype=np.int64),
            "kind": np.array([versions[0].kind for versions in models], dtype=np.int8),
            "popularity": np.array([_popularity(versions) for versions in models], dtype=np.float32),
            "embedding": np.array([versions[0].embedding for versions in models], dtype=bool),
            "offers": np.array(
                [_united(version.offers for version in versions) for versions in models], dtype=np.uint8
            ),
            "creator": np.where([bool(versions[0].creator) for versions in models], creators, 0),
        },
        fields={
            "text": Postings.of([numbered(text.words) for text in texts], mean_length=MEAN_TEXT),
            "name": Postings.of([numbered(text.name) for text in texts], mean_length=MEAN_NAME),
            "pieces": Postings.of([numbered(text.pieces) for text in texts], mean_length=MEAN_PIECES),
        },
        link_documents=np.array([n for n, _ in links], dtype=np.int64),
        link_values=numbered([base for _, base in links]).astype(np.int64),
    )


@dataclass(frozen=True, slots=True)
class ModelText:
    """The tokens of what is written about a model, by what they are used for."""

    words: list[str]
    grams: list[str]
    name: list[str]
    pieces: list[str]


def text_of(versions: Sequence[Described]) -> ModelText:
    """What is written about a model: names, tags, trigger words, and the longest description of its versions."""
    names = list(dict.fromkeys(version.name for version in versions))
    tags = list(dict.fromkeys(tag for version in versions for tag in version.tags))
    triggers = list(dict.fromkeys(phrase for version in versions for phrase in version.triggers))[:MAX_TRIGGER_WORDS]
    description = max((version.description for version in versions), key=len)
    stems = dict.fromkeys(version.stem.replace("_", " ") for version in versions)
    parts = [words(text) for text in (*names, *tags, *triggers, description)]
    return ModelText(
        words=[word for part in parts for word in part],
        grams=[gram for part in parts for gram in grams(part)],
        name=[word for text in names for word in words(text)],
        pieces=pieces(dict.fromkeys(word for text in (*names, *triggers, *stems) for word in words(text))),
    )


def _united(bits: Iterable[int]) -> int:
    return reduce(or_, bits, 0)


def _popularity(versions: Sequence[Described]) -> float:
    known = [version.downloads for version in versions if version.downloads is not None]
    return float(np.log1p(max(known))) if known else float("nan")
