"""Catalogs to plan for: the pocket world itself, and made-up ones, so that a planner reads specs and memorises none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.pocket.planner.requests import Wanted, seen_phrases
from finetune.pocket.planner.words import NAME_PARTS, STYLE_NAMES, UNKNOWN
from finetune.pocket.records import CHECKPOINT_IDS, STYLE_IDS
from finetune.pocket.world import COLOURS, SCENES, STYLES, SUBJECTS, all_subjects
from tool_specs.catalog import Catalog
from tool_specs.spec import ToolSpec

FOREIGN = 0.3
"""Share of a made-up checkpoint's subjects that the pocket world does not know."""
KEPT = 0.7
"""Share of the pocket networks that stay in a mixed world."""


@dataclass(frozen=True, slots=True)
class World:
    """A catalog, and which model draws what.

    Attributes:
        catalog: The models.
        drawn_by: Spec id of the checkpoint for each subject.
        styled_by: Spec id of the network for each style.
    """

    catalog: Catalog
    drawn_by: dict[str, str]
    styled_by: dict[str, str]

    def models(self, wanted: Wanted) -> tuple[ToolSpec, ToolSpec | None]:
        """The checkpoint that draws a wanted picture, and the network of its style; None without one."""
        network = self.catalog.get(self.styled_by[wanted.style]) if wanted.style else None
        return self.catalog.get(self.drawn_by[wanted.subject]), network

    @property
    def subjects(self) -> list[str]:
        """What can be drawn."""
        return list(self.drawn_by)

    @property
    def styles(self) -> list[str]:
        """How it can be drawn."""
        return list(self.styled_by)


def pocket_world() -> World:
    """The one that ships."""
    drawn_by = {subject: CHECKPOINT_IDS[domain] for domain, subjects in SUBJECTS.items() for subject in subjects}
    return World(Catalog.pocket(), drawn_by, dict(STYLE_IDS))


def made_up_world(rng: np.random.Generator) -> World:
    """Two to six checkpoints that share out some subjects, and up to seven networks, with invented names and ids."""
    ids = iter(int(number) for number in rng.choice(np.arange(1_000, 999_999), size=40, replace=False))
    foreign = seen_phrases(UNKNOWN)
    subjects = [*all_subjects()]
    subjects += [str(noun) for noun in rng.choice(foreign, size=int(FOREIGN * len(subjects)), replace=False)]
    rng.shuffle(subjects)
    specs, drawn_by = _checkpoints(int(rng.integers(2, 7)), subjects, (8, 28), ids, rng)
    networks, styled_by = _networks(int(rng.integers(0, 8)), [*STYLE_NAMES, *STYLES], ids, rng)
    return World(Catalog([*specs, *networks]), drawn_by, styled_by)


def mixed_world(rng: np.random.Generator) -> World:
    """The pocket world with made-up models beside its own.

    One to three checkpoints are for things that it does not know, one to four networks for styles that it does not
    know; some of its own networks are missing. Where they were always the same, planners learn them by heart and
    overlook others.
    """
    pocket = pocket_world()
    foreign = seen_phrases(UNKNOWN)
    rng.shuffle(foreign)
    ids = iter(int(number) for number in rng.choice(np.arange(10_000, 999_999), size=14, replace=False))
    specs, drawn_by = _checkpoints(int(rng.integers(1, 4)), foreign, (16, 33), ids, rng)
    networks, styled_by = _networks(int(rng.integers(1, 5)), STYLE_NAMES, ids, rng)
    left = Catalog([spec for spec in pocket.catalog if not spec.is_network or rng.random() < KEPT])
    kept = {style: network for style, network in pocket.styled_by.items() if network in left}
    return World(Catalog([*left, *specs, *networks]), pocket.drawn_by | drawn_by, kept | styled_by)


def _networks(
    count: int, styles: Sequence[str], ids: Iterator[int], rng: np.random.Generator
) -> tuple[list[ToolSpec], dict[str, str]]:
    """Made-up networks of some of the styles, and which of them is for what style."""
    pattern = Catalog.pocket().get(STYLE_IDS["neon"])
    specs: list[ToolSpec] = []
    styled_by: dict[str, str] = {}
    for style in (str(style) for style in rng.choice(styles, size=count, replace=False)):
        named = rng.random() < 0.5
        name = f"{style.title()} {_name(rng)}" if named else _name(rng)
        trigger = style if rng.random() < 0.8 else f"{style.replace(' ', '')}_style"
        numbers = {"model_id": next(ids), "version_id": next(ids)}
        specs.append(network_like(pattern, style, name=name, trigger=trigger, **numbers))
        styled_by[style] = specs[-1].id
    return specs, styled_by


def _checkpoints(
    count: int, subjects: list[str], sizes: tuple[int, int], ids: Iterator[int], rng: np.random.Generator
) -> tuple[list[ToolSpec], dict[str, str]]:
    """Made-up checkpoints that take their subjects from the end of a list, and which of them draws what."""
    pattern = Catalog.pocket().get(CHECKPOINT_IDS["animals"])
    specs: list[ToolSpec] = []
    drawn_by: dict[str, str] = {}
    for _ in range(count):
        known = [subjects.pop() for _ in range(int(rng.integers(*sizes))) if subjects]
        specs.append(checkpoint_like(pattern, known, name=_name(rng), model_id=next(ids), version_id=next(ids)))
        drawn_by |= dict.fromkeys(known, specs[-1].id)
    return specs, drawn_by


def checkpoint_like(
    pattern: ToolSpec, subjects: Sequence[str], *, name: str, model_id: int, version_id: int
) -> ToolSpec:
    """A made-up checkpoint: another one's spec with subjects, a name and ids of its own."""
    backgrounds = [*(f"{colour} background" for colour in COLOURS), *SCENES.values()]
    return _like(pattern, name, model_id, version_id, tags=(*subjects, *backgrounds))


def network_like(pattern: ToolSpec, style: str, *, name: str, trigger: str, model_id: int, version_id: int) -> ToolSpec:
    """A made-up LoRA: another one's spec with a style, a trigger word, a name and ids of its own."""
    own = {"trigger_words": (trigger,), "trigger_phrases": ()}
    return _like(pattern, name, model_id, version_id, tags=("style", style)).model_copy(update=own)


def _like(pattern: ToolSpec, name: str, model_id: int, version_id: int, tags: tuple[str, ...]) -> ToolSpec:
    own = {"id": f"civitai:{model_id}@{version_id}", "model_id": model_id, "version_id": version_id}
    return pattern.model_copy(update={**own, "model_name": name, "tags": tags, "description": "", "examples": ()})


def _name(rng: np.random.Generator) -> str:
    first, second = (str(rng.choice(part)) for part in NAME_PARTS)
    ending = str(rng.choice(["", "", "", " v2", " XL", " Plus"]))
    return f"{first}{second}{ending}" if rng.random() < 0.5 else f"{first} {second}{ending}"
