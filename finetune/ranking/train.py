"""Train the ranking: `python -m finetune.ranking.train --models FILE --pairs FILE --work DIR --out FILE [--quick]`.

Each fold trains an encoder on its evidence and asks its requests; the scorer learns from the answers to all of them.
The encoder that ships is trained on all pairs. What is done is kept in the work folder, and the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from finetune.ranking.data import fold_of, read_corpus
from finetune.ranking.encoder import EncoderRecipe, train_encoder
from finetune.ranking.scorer import ScorerRecipe, load_questions, questions_of, save_questions, train_scorer
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.weights import SHIPPED, RankingWeights

FOLDS = (5, 6, 7)
"""Seeds of the folds."""
QUICK = EncoderRecipe(width=32, kept=16, steps=20)


@dataclass(frozen=True, slots=True)
class Job:
    """One part of the work that needs no other: a fold, or the encoder that ships (no seed)."""

    models: Path
    pairs: Path
    work: Path
    encoder: EncoderRecipe
    scorer: ScorerRecipe
    seed: int | None

    @property
    def result(self) -> Path:
        """Where its result is kept."""
        return self.work / ("encoder.safetensors" if self.seed is None else f"fold-{self.seed}.npz")


def run(job: Job) -> None:
    """Do one part, unless its result is there."""
    if job.result.exists():
        return
    torch.set_num_threads(1)
    corpus = read_corpus(job.models, job.pairs)
    if job.seed is None:
        draft = job.result.with_suffix(".draft")
        train_encoder(corpus, range(len(corpus.prompts)), job.encoder).save(draft)
        draft.rename(job.result)
        return
    fold = fold_of(corpus, job.seed)
    encoder = train_encoder(corpus, fold.evidence, job.encoder)
    save_questions(questions_of(corpus, fold, encoder, job.scorer), job.result)


def train(models: Path, pairs: Path, work: Path, *, quick: bool, workers: int) -> RankingWeights:
    """Do all parts, then train the scorer.

    Args:
        models: API dumps or normalised rows of models.
        pairs: Training pairs.
        work: Where results are kept until all are there.
        quick: A small encoder of few steps, to see that everything runs.
        workers: Parts that run side by side.
    """
    work = work / ("quick" if quick else "full")
    work.mkdir(parents=True, exist_ok=True)
    encoder, scorer = (QUICK, ScorerRecipe(epochs=2)) if quick else (EncoderRecipe(), ScorerRecipe())
    whole = Job(models, pairs, work, encoder, scorer, None)
    jobs = [replace(whole, seed=seed) for seed in (FOLDS[:1] if quick else FOLDS)]
    console = Console(stderr=True)
    with ProcessPoolExecutor(workers) as pool:
        futures = {pool.submit(run, job): job for job in (*jobs, whole)}
        for number, future in enumerate(as_completed(futures), 1):
            future.result()
            console.print(f"{futures[future].result.name}: done ({number} of {len(futures)})")
    questions = [question for job in jobs for question in load_questions(job.result)]
    console.print(f"{len(questions)} questions; training the scorer")
    return RankingWeights.of(Encoder.load(whole.result), train_scorer(questions, scorer))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="models: an API dump, or a line for each version")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, a line each")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is done already")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="file to write (default: the one that ships)")
    parser.add_argument("--workers", type=int, default=2, help="parts that run side by side (default: 2)")
    parser.add_argument("--quick", action="store_true", help="a small one, to see that everything runs")
    given = parser.parse_args(arguments)
    weights = train(given.models, given.pairs, given.work, quick=given.quick, workers=given.workers)
    weights.save(given.out)


if __name__ == "__main__":
    main()
