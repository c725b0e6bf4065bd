"""From nothing to the pocket planner: data set, lessons, SFT, rollouts, RRHF and DPO, evaluation."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from rich.console import Console

from finetune.dabench.run import EvalSettings, run
from finetune.origin import check_same_origin, is_made_of, note_origin
from finetune.pocket.planner.drills import drills
from finetune.pocket.planner.figures import write_figures
from finetune.pocket.planner.lessons import Course, course_rows
from finetune.pocket.planner.newcomers import choices, table
from finetune.pocket.planner.rankings import reviews, reworded
from finetune.pocket.planner.recipe import Recipe
from finetune.pocket.planner.workers import workers
from finetune.sfta.align import AlignSettings, align
from finetune.sfta.curves import learning_curves
from finetune.sfta.encoding import RankingRow, file_sha256, read_rows
from finetune.sfta.export import ExportSettings, export, fingerprint
from finetune.sfta.rollouts import RolloutSettings
from finetune.sfta.sft import SFTSettings, train_sft
from tool_specs.whole_files import write_whole, written_whole

EVAL_LESSONS = 130
"""Lessons of each course, the first ones, that stage 1 is not trained on."""
LEARNING_RATE, WEIGHT_DECAY, BATCH = 2e-3, 0.05, 32
DRILL_BATCH, DRILL_SEED, REMINDER_SEED, REWORDING_SEED = 24, 3, 4, 10
ALIGN_LEARNING_RATES = {"rrhf": 2e-4, "dpo": 5e-5}
"""At 5e-4, RRHF garbles more of the words that it copies; at RRHF's, DPO unlearns what stage 1 taught."""
ALIGN_BATCH, REWARD_MARGIN = 8, 0.1
MAX_TOKENS, SAVE_STEPS = 1024, 100
COMPARED = ("rrhf,sft", "dpo,sft", "rrhf,dpo", "rrhf,retrieval", "sft,retrieval", "sft,random")


class Reproduction:
    """The stages, each in a folder of its own; one that is finished is not done again.

    What was made of something that has changed since is made again where that takes a minute, and refused where it
    takes long: trainings and rollouts are removed by hand.

    Args:
        folder: Where everything goes.
        recipe: Counts, sizes and steps.

    Raises:
        ConfigError: The folder was begun with another recipe, or cannot be written to.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._console = Console(stderr=True)
        told = TypeAdapter(Recipe).dump_python(recipe, mode="json", fallback=dict, warnings=False)
        seeds = {"drill_seed": DRILL_SEED, "reminder_seed": REMINDER_SEED, "rewording_seed": REWORDING_SEED}
        check_same_origin(folder, told | seeds, note=folder / "recipe.json")

    def run(self) -> Path:
        """Do every stage that is not done, and return the report."""
        for stage in (self.dataset, self.lessons, self.sft, self.rollouts, self.rrhf, self.dpo, self.export):
            self._console.print(f"[bold]{stage.__name__}[/]")
            stage()
        self._console.print("[bold]evaluation[/]")
        return self.evaluation()

    def dataset(self) -> Path:
        """The pocket DABench."""
        from finetune.dabench.pairs import write_pairs
        from finetune.pocket.planner.dataset import card, pocket_pairs
        from finetune.pocket.planner.worlds import pocket_world

        folder = self.folder / "dabench"
        if not (folder / "README.md").is_file():
            pairs = pocket_pairs(pocket_world(), self.recipe.counts)
            write_pairs(folder, pairs, card=card(pairs))
        return folder

    def lessons(self) -> Path:
        """What stage 1 learns from, shuffled, and a part that it is evaluated on.

        There are drills among them: from lessons alone, what the drills taught is slowly lost.
        """
        path, evaluated = self.folder / "lessons.jsonl", self.folder / "lessons-eval.jsonl"
        if path.is_file():
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        with workers() as pool, self._console.status("writing lessons"):
            courses = list(pool.map(_rows, self.recipe.courses))
        held_out = min(EVAL_LESSONS, *(course.count // 4 for course in self.recipe.courses))
        rows = [row for course in courses for row in course]
        _write_shuffled(evaluated, [row for row in rows if _number(row) < held_out])
        reminders = drills(self.recipe.reminders, REMINDER_SEED)
        _write_shuffled(path, [*(row for row in rows if _number(row) >= held_out), *reminders])
        return path

    def drilled(self) -> Path:
        """A network that can find and copy, from random weights."""
        from finetune.pocket.planner.network import make_untrained

        untrained, data = self.folder / "untrained", self.folder / "drills.jsonl"
        made_of = {"lessons": file_sha256(self.lessons())}
        if not is_made_of(untrained, made_of):
            shutil.rmtree(untrained, ignore_errors=True)
            make_untrained(untrained, _texts(self.lessons()), size=self.recipe.size)
            note_origin(untrained, made_of)
        # The weights alone do not tell: the same random ones go with a tokenizer of other lessons.
        check_same_origin(self.folder / "drilled", made_of)
        if not data.is_file():
            _write_shuffled(data, list(drills(self.recipe.drills, DRILL_SEED)))
        return train_sft(
            SFTSettings(
                model=str(untrained),
                data=data,
                out=self.folder / "drilled",
                max_steps=self.recipe.drill_steps,
                learning_rate=LEARNING_RATE,
                scheduler="constant",
                warmup=50,
                weight_decay=WEIGHT_DECAY,
                batch_size=DRILL_BATCH,
                max_length=MAX_TOKENS,
                save_steps=SAVE_STEPS,
            )
        )

    def sft(self) -> Path:
        """Stage 1."""
        return train_sft(
            SFTSettings(
                model=str(self.drilled()),
                data=self.lessons(),
                eval_data=self.folder / "lessons-eval.jsonl",
                out=self.folder / "sft",
                max_steps=self.recipe.sft_steps,
                learning_rate=LEARNING_RATE,
                warmup=0.03,
                weight_decay=WEIGHT_DECAY,
                batch_size=BATCH,
                max_length=MAX_TOKENS,
                save_steps=SAVE_STEPS,
                eval_steps=min(500, self.recipe.sft_steps),
            )
        )

    def rollouts(self) -> Path:
        """Candidates of the training pairs, drawn and scored, in one process for each core."""
        path, pairs = self.folder / "rollouts.jsonl", self.folder / "dabench" / "train.parquet"
        made_of = {"planner": fingerprint(str(self.folder / "sft" / "model")), "pairs": file_sha256(pairs)}
        if is_made_of(path, made_of):
            return path
        check_same_origin(self.folder / "rollouts", made_of)
        shards = os.cpu_count() or 1
        parts = [
            RolloutSettings(
                model=self.folder / "sft" / "model",
                data=self.folder / "dabench",
                out=self.folder / "rollouts",
                limit=self.recipe.rollouts,
                sampled=self.recipe.sampled,
                perturbed=self.recipe.perturbed,
                seeds=self.recipe.seeds,
                finalists=self.recipe.finalists,
                finalist_seeds=self.recipe.finalist_seeds,
                shard=shard,
                shards=shards,
            )
            for shard in range(shards)
        ]
        with workers() as pool:
            made = list(pool.map(_rollout_lines, parts))
        write_whole(path, "".join(line for lines in made for line in lines))
        note_origin(path, made_of)
        return path

    def rankings(self) -> Path:
        """What stage 2 learns from: the rollouts, in other words as well, and lessons."""
        path, rollouts = self.folder / "rankings.jsonl", self.rollouts()
        made_of = {"rollouts": file_sha256(rollouts)}
        if is_made_of(path, made_of):
            return path
        rng = np.random.default_rng(REWORDING_SEED)
        rows = [
            row for rollout in read_rows(rollouts, RankingRow) for row in reworded(rollout, self.recipe.rewordings, rng)
        ]
        with workers() as pool, self._console.status("writing lessons for stage 2"):
            rows += chain.from_iterable(pool.map(reviews, self.recipe.reviews))
        write_whole(path, "".join(row.model_dump_json() + "\n" for row in rows))
        note_origin(path, made_of)
        return path

    def rrhf(self) -> Path:
        """Stage 2."""
        return self._aligned("rrhf")

    def dpo(self) -> Path:
        """Its rival, from the same rankings."""
        return self._aligned("dpo")

    def export(self) -> Path:
        """The aligned planner as it is served."""
        folder, trained = self.folder / "planner", self.folder / "rrhf" / "model"
        made_of = {"weights": fingerprint(str(trained))}
        if not is_made_of(folder, made_of):
            shutil.rmtree(folder, ignore_errors=True)
            export(ExportSettings(model=trained, out=folder, dtype="float32"))
            note_origin(folder, made_of)
        return folder

    def evaluation(self) -> Path:
        """Everybody on requests that training never saw, one process for each part.

        Two splits are drawn, a long one is for what needs no picture, a last one for models that came after training.
        """
        folders = {name: self.folder / name / "model" for name in ("rrhf", "sft", "dpo")}
        tuned = [f"{name}=local:{path}" for name, path in folders.items()]
        dataset = self.folder / "dabench"
        drawn = [
            EvalSettings(
                dataset=dataset,
                out=self.folder / f"evaluation-{split}",
                splits=[split],
                planners=[*tuned, "retrieval", "random"],
                limit=self.recipe.drawn,
                draw=True,
                pictures=self.recipe.pictures,
                compare=list(COMPARED),
            )
            for split in ("test", "unseen_styles")
        ]
        asked = EvalSettings(
            dataset=dataset,
            out=self.folder / "evaluation-requests",
            splits=["requests"],
            planners=[*tuned[:2], "retrieval", "nearest", "popularity", "random"],
            limit=self.recipe.asked,
            compare=[pair for pair in COMPARED if "dpo" not in pair],
        )
        with workers() as pool:
            reports = [pool.submit(run, settings) for settings in (*drawn, asked)]
            new = pool.submit(
                choices, self.folder / "evaluation-newcomers", list(folders.items())[:2], self.recipe.newcomers
            )
            parts = [report.result().read_text(encoding="utf-8") for report in reports]
            newcomers = new.result()
        parts.append(f"# Models that came after training\n\n{table(newcomers)}\n")
        evaluations = {settings.splits[0]: settings.out for settings in (*drawn, asked)}
        write_figures(self.export(), dataset, evaluations, newcomers, compare=COMPARED)
        curves = learning_curves({name: self.folder / name / "log.jsonl" for name in ("drilled", "sft", "rrhf", "dpo")})
        with written_whole(self.folder / "curves.png") as partial:
            partial.write_bytes(curves)
        report = self.folder / "report.md"
        write_whole(report, "\n".join(parts))
        return report

    def _aligned(self, method: str) -> Path:
        return align(
            AlignSettings(
                model=str(self.folder / "sft" / "model"),
                data=self.rankings(),
                out=self.folder / method,
                method=method,  # type: ignore[arg-type]
                epochs=self.recipe.align_epochs,
                learning_rate=ALIGN_LEARNING_RATES[method],
                warmup=0.05,
                batch_size=ALIGN_BATCH,
                max_length=MAX_TOKENS,
                reward_margin=REWARD_MARGIN,
                save_steps=SAVE_STEPS,
            )
        )


def _rows(course: Course) -> list[dict[str, str]]:
    return list(course_rows(course))


def _rollout_lines(settings: RolloutSettings) -> list[str]:
    from finetune.sfta.rollout_run import run_rollouts

    return [row.model_dump_json() + "\n" for row in run_rollouts(settings)]


def _number(row: dict[str, str]) -> int:
    """The lesson's number in its course."""
    return int(row["id"].split("-")[-2])


def _write_shuffled(path: Path, rows: Sequence[dict[str, str]]) -> None:
    order = np.random.default_rng(0).permutation(len(rows))
    write_whole(path, "".join(json.dumps(rows[place], ensure_ascii=False) + "\n" for place in order))


def _texts(lessons: Path) -> Iterator[str]:
    """Every third lesson with its answer: enough for the tokenizer."""
    with lessons.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number % 3 == 0:
                row = json.loads(line)
                yield row["prompt"] + row["completion"]
