"""A corpus that looks like Civitai's catalog in numbers: lengths of texts, tags and triggers, shares of types."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Line
from diffagent_tools.benchmarks.catalog.vectors import Vectors, directions, near
from diffagent_tools.benchmarks.catalog.words import DESCRIPTION, NAME, PROMPT, TAG, Vocabulary
from tool_specs.civitai.recommended import recommended_of
from tool_specs.families import family_of
from tool_specs.naming import spec_id
from tool_specs.spec import Example, ModelFile, Stats, ToolSpec

SEED: Final = 20240801
QUERIES: Final = 500
CHANGES: Final = 5
CHECKPOINTS: Final = 0.1
"""Share of checkpoints; the rest are networks."""
VERSIONS: Final = 1.5
"""Versions of a model, on average."""
SPECS_OF_A_TOPIC: Final = 75
"""On average."""
VOCABULARY: Final = 30_000
_NETWORKS: Final = ("LORA", "LORA", "LORA", "LORA", "LORA", "LoCon", "TextualInversion", "DoRA")
_BASES: Final = ("SD 1.5", "SD 1.5", "SDXL 1.0", "Pony", "Illustrious", "Flux.1 D")
_SAMPLERS: Final = ("DPM++ 2M Karras", "Euler a", "DPM++ SDE Karras")


def make_corpus(folder: Path, *, specs: int, evidence: int) -> Corpus:
    """Write a corpus; the same numbers give the same one.

    Args:
        folder: An empty folder.
        specs: How many, at least `CHANGES`.
        evidence: How many prompts that were drawn with one of the specs each.
    """
    source = np.random.default_rng(SEED)
    topics = max(specs // SPECS_OF_A_TOPIC, 2)
    vocabulary = Vocabulary.make(source, words=VOCABULARY, topics=topics)
    models = np.arange(specs) * 10 // int(10 * VERSIONS)
    # Topics are as unevenly frequent as words are.
    topic = (source.random(int(models[-1]) + 1) ** 2 * topics).astype(np.int64)[models]
    subjects = near(source, directions(source, topics)[topic], 0.7)
    # The versions of a model lie together.
    vectors = near(source, subjects[np.searchsorted(models, models)], 0.95)
    made = list(_specs(source, vocabulary, models, topic))
    folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(folder)
    corpus.write("specs", (_line(spec) for spec in made), vectors)

    drawn_with = (source.random(evidence) ** 2 * specs).astype(np.int64)
    prompts = vocabulary.texts(source, topic[drawn_with], source.integers(8, 41, evidence), PROMPT)
    lines = [Line(made[number].id, text) for number, text in zip(drawn_with, prompts, strict=True)]
    corpus.write("evidence", lines, near(source, vectors[drawn_with], 0.6))

    wanted = source.integers(specs, size=QUERIES)
    asked = vocabulary.texts(source, topic[wanted], source.integers(4, 37, QUERIES), PROMPT)
    lines = [
        Line(made[number].id, f"{made[number].model_name.lower()} {text}")
        for number, text in zip(wanted, asked, strict=True)
    ]
    corpus.write("queries", lines, near(source, vectors[wanted], 0.6))

    corpus.write("changes", *_changes(source, made))
    return Corpus(folder)


def search_text(spec: ToolSpec) -> str:
    """What the words of a query are compared with: name, tags, trigger words, description."""
    return "\n".join((spec.model_name, ", ".join(spec.tags), ", ".join(spec.trigger_words), spec.description))


def _line(spec: ToolSpec) -> Line:
    return Line(spec.id, search_text(spec), spec.model_dump_json())


def _changes(source: np.random.Generator, specs: list[ToolSpec]) -> tuple[list[Line], Vectors]:
    """Specs with a name that no other has, and a direction that no other has."""
    numbers = source.choice(len(specs), CHANGES, replace=False)
    changed = [specs[number].model_copy(update={"model_name": f"renamed{number}x"}) for number in numbers]
    return [_line(spec) for spec in changed], directions(source, CHANGES)


def _specs(
    source: np.random.Generator, vocabulary: Vocabulary, models: NDArray[np.int64], topic: NDArray[np.int64]
) -> Iterator[ToolSpec]:
    count = len(models)
    first = np.searchsorted(models, models)
    names = vocabulary.texts(source, topic, source.integers(1, 5, count), NAME)
    tags = vocabulary.texts(source, topic, source.integers(2, 10, count), TAG)
    lengths = np.clip(source.normal(60, 28, count), 4, 250).astype(np.int64)
    descriptions = vocabulary.texts(source, topic, lengths, DESCRIPTION)
    triggers = vocabulary.texts(source, topic, source.integers(0, 4, count), TAG)
    shown = source.choice(4, count, p=(0.5, 0.2, 0.2, 0.1))
    prompts = iter(vocabulary.texts(source, np.repeat(topic, shown), source.integers(8, 41, int(shown.sum())), PROMPT))
    kinds = np.where(source.random(count) < CHECKPOINTS, "Checkpoint", source.choice(_NETWORKS, count))
    bases = source.choice(_BASES, count)
    downloads = np.clip(source.pareto(0.8, count) * 200, 0, 2_000_000).astype(np.int64)
    for number in range(count):
        model = int(first[number])
        examples = tuple(_example(source, prompt) for prompt in islice(prompts, int(shown[number])))
        kind, base = str(kinds[model]), str(bases[number])
        yield ToolSpec(
            id=spec_id(1000 + int(models[number]), 100_000 + number),
            model_id=1000 + int(models[number]),
            version_id=100_000 + number,
            model_name=names[model].title(),
            version_name=f"v{number - model + 1}.0",
            type=kind,
            base_model=base,
            family=family_of(base).name,
            description=descriptions[number],
            tags=tuple(dict.fromkeys(tags[model].split())),
            trigger_words=()
            if kind == "Checkpoint"
            else tuple(f"{word}_{model % 97}" for word in triggers[model].split()),
            files=(_file(number, kind),),
            stats=Stats(downloads=int(downloads[number]), thumbs_up=int(downloads[number]) // 9),
            creator=f"creator{model % 9973}",
            recommended=recommended_of(base, examples, model_type=kind),
            examples=examples,
        )


def _example(source: np.random.Generator, prompt: str) -> Example:
    return Example(
        prompt=prompt,
        negative_prompt="worst quality, low quality, blurry, jpeg artifacts",
        sampler=str(_SAMPLERS[source.integers(len(_SAMPLERS))]),
        steps=int(source.integers(20, 41)),
        cfg_scale=float(source.integers(8, 19)) / 2,
        width=512,
        height=768,
        seed=int(source.integers(2**32)),
    )


def _file(number: int, kind: str) -> ModelFile:
    return ModelFile(
        id=number,
        name=f"weights_{number}.safetensors",
        type="Model",
        format="SafeTensor",
        size_kb=2_082_642.0 if kind == "Checkpoint" else 147_571.0,
        fp="fp16",
        sha256=f"{(number + 1) * 2654435761 % 2**64:064X}",
        download_url=f"https://civitai.com/api/download/models/{100_000 + number}",
        scan="Success",
        primary=True,
    )
