"""Measure the shipped pocket world on prompts and seeds that no training used: `python -m finetune.pocket.report`.

Every picture is drawn through the same backend that the agent uses and judged by `finetune.pocket.judge`, which shares
nothing with the reward model. Writes a contact sheet and a table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageDraw
from rich.progress import Progress

from diffagent_tools.backends import DiffusersBackend
from finetune.pocket.drawing import pocket_call
from finetune.pocket.judge import PLAIN, StyleJudge, SubjectJudge
from finetune.pocket.records import STYLE_IDS
from finetune.pocket.render import render
from finetune.pocket.world import BACKGROUNDS, STYLES, SUBJECTS, Scene, domain_of, held_out
from tool_specs.catalog import Catalog
from tool_specs.spec import LoraUse

FIRST_SEED = 700_000
SCALE = 2
GAP = 4
TARGETS = {"right": 0.80, "wrong": 0.35, "style": 0.80, "seconds": 2.0}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture of the report."""

    group: str
    checkpoint: str
    scene: Scene
    image: Image.Image
    seconds: float
    before: Image.Image | None = None
    """For a style: the same seed without the LoRA and its trigger words."""


def held_out_scenes(domain: str, count: int) -> list[Scene]:
    """Up to `count` subject–background pairs of a domain that were kept out of training, spread over its subjects."""
    subjects = SUBJECTS[domain]  # type: ignore[index]
    pairs = [Scene(s, b) for b in BACKGROUNDS for s in subjects if held_out(s, b)]
    rng = np.random.default_rng(FIRST_SEED)
    order = rng.permutation(len(pairs))
    return [pairs[row] for row in order[:count]]


def plan(count: int, style_count: int) -> Iterator[tuple[str, str, Scene, tuple[LoraUse, ...]]]:
    """Group, checkpoint, scene and LoRAs of every picture to draw."""
    domains = list(SUBJECTS)
    for number, domain in enumerate(domains):
        for row, scene in enumerate(held_out_scenes(domain, count)):
            yield "right", domain, scene, ()
            other = domains[(number + 1 + row % (len(domains) - 1)) % len(domains)]
            yield "wrong", other, scene, ()
    for style in STYLES:
        for row in range(style_count):
            domain = domains[row % len(domains)]
            scene = held_out_scenes(domain, style_count)[row // len(domains)]
            use = LoraUse(id=STYLE_IDS[style], weight=1)
            yield style, domain, Scene(scene.subject, scene.background, style), (use,)


def draw_all(
    backend: DiffusersBackend, catalog: Catalog, rows: Sequence[tuple[str, str, Scene, tuple[LoraUse, ...]]]
) -> list[Drawn]:
    """Draw the plan, one seed after the other."""
    drawn = []
    with Progress() as progress:
        for number, (group, domain, scene, loras) in enumerate(progress.track(rows, description="drawing")):
            seed = FIRST_SEED + number
            text, before = scene.caption, None
            if scene.style is not None:
                before = backend.draw(pocket_call(catalog, domain, text, (), seed)).image
                text = f"{scene.style}, {text}"
            drawing = backend.draw(pocket_call(catalog, domain, text, loras, seed))
            drawn.append(Drawn(group, domain, scene, drawing.image, drawing.seconds, before))
    return drawn


def judge(drawn: Sequence[Drawn]) -> dict[str, object]:
    """Rates of every group, with the judge's own accuracy on fresh clean renders."""
    subjects, styles = SubjectJudge(), StyleJudge()
    seen = subjects.subjects([row.image for row in drawn])
    rng = np.random.default_rng(FIRST_SEED)
    clean = [Scene(scene.subject, scene.background) for domain in SUBJECTS for scene in held_out_scenes(domain, 50)]
    answers = subjects.subjects([render(scene, rng) for scene in clean])
    report: dict[str, object] = {
        "judge_accuracy": _share([a == scene.subject for a, scene in zip(answers, clean, strict=True)]),
        "seconds_median": round(median(row.seconds for row in drawn), 2),
        "pictures": len(drawn),
    }
    for group in ("right", "wrong"):
        for domain in (None, *SUBJECTS):
            hits = [
                name == row.scene.subject
                for name, row in zip(seen, drawn, strict=True)
                if row.group == group and domain in (None, domain_of(row.scene.subject))
            ]
            report[f"{group}:{domain or 'all'}"] = _share(hits)
    for style in STYLES:
        rows = [(name, row) for name, row in zip(seen, drawn, strict=True) if row.group == style]
        nearer = [styles.nearer(style, row.before, row.image) for _, row in rows if row.before is not None]
        report[f"towards:{style}"] = _share(nearer)
        named = styles.styles([row.image for _, row in rows])
        report[f"style:{style}"] = _share([name == style for name in named])
        report[f"style_subject:{style}"] = _share([name == row.scene.subject for name, row in rows])
    plain = styles.styles([row.image for row in drawn if row.group == "right"])
    report["plain:right"] = _share([name == PLAIN for name in plain])
    return report


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / max(1, len(hits)), 3)


def contact_sheet(drawn: Sequence[Drawn], columns: int = 16) -> Image.Image:
    """The first pictures of every group, a row each with its name."""
    groups: dict[str, list[Drawn]] = {}
    for row in drawn:
        name = f"{row.checkpoint} checkpoint" if row.group == "right" else row.group
        groups.setdefault(name if row.group != "wrong" else "wrong checkpoint", []).append(row)
    cell, head = 64 * SCALE + GAP, 16
    sheet = Image.new("RGB", (columns * cell, len(groups) * (cell + head)), "white")
    pen = ImageDraw.Draw(sheet)
    for line, (name, rows) in enumerate(groups.items()):
        top = line * (cell + head)
        pen.text((2, top + 2), f"{name}: " + ", ".join(f"{r.scene.subject}" for r in rows[:columns]), fill="black")
        for column, row in enumerate(rows[:columns]):
            large = row.image.resize((64 * SCALE, 64 * SCALE), Image.Resampling.NEAREST)
            sheet.paste(large, (column * cell, top + head))
    return sheet


def markdown(report: dict[str, object], machine: str) -> str:
    """The table as it stands in `docs/pocket-report.md`; `machine` says what it was drawn on."""
    lines = [
        "# Pocket report",
        "",
        (
            "Drawn by `make pocket-report` on subject–background pairs and seeds that no training used; judged by the "
            f"nearest clean render (the judge names {report['judge_accuracy']:.1%} of fresh clean renders right). "
            f"{report['pictures']} pictures of 20 steps, on {machine}."
        ),
        "",
        "| measure | result | target |",
        "| --- | --- | --- |",
        f"| seconds a picture, median | {report['seconds_median']} | ≤ {TARGETS['seconds']:g} |",
    ]
    for key, value in report.items():
        kind, _, which = key.partition(":")
        if kind in ("right", "wrong"):
            goal = f"≥ {TARGETS['right']:.0%}" if kind == "right" else f"≤ {TARGETS['wrong']:.0%}"
            lines.append(f"| {kind} checkpoint shows the subject, {which} | {value:.1%} | {goal} |")
        elif kind == "towards":
            lines.append(
                f"| LoRA `{which}` brings the picture nearer to its style | {value:.1%} | ≥ {TARGETS['style']:.0%} |"
            )
        elif kind == "style":
            lines.append(f"| … and most of the nearest clean renders are in it | {value:.1%} | |")
        elif kind == "style_subject":
            lines.append(f"| … and the subject is still named | {value:.1%} | |")
    lines.append(f"| without a LoRA the picture is plain | {report['plain:right']:.1%} | |")
    return "\n".join([*lines, "", "![contact sheet](pocket-report.png)", ""])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where the sheet and the table go")
    parser.add_argument("--count", type=int, default=40, help="pictures per domain, right and wrong checkpoint each")
    parser.add_argument("--style-count", type=int, default=24, help="pictures per style")
    options = parser.parse_args()
    import torch

    catalog = Catalog.pocket()
    drawn = draw_all(DiffusersBackend(catalog), catalog, list(plan(options.count, options.style_count)))
    report = judge(drawn)
    options.out.mkdir(parents=True, exist_ok=True)
    contact_sheet(drawn).save(options.out / "pocket-report.png", optimize=True)
    cores = f"{os.cpu_count()} {platform.machine()} cores"
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else cores
    (options.out / "pocket-report.md").write_text(markdown(report, machine))
    print(json.dumps(report, indent=2))  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
