from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoModelForCausalLM

from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from diffagent_tools.chat_models.local import LocalChatDiffAgent
from finetune.dabench.drawing import Studio, seed_of
from finetune.dabench.left_out import LeftOut
from finetune.dabench.pairs import Pair, write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.rankings import read_rankings
from finetune.sfta.rollout_run import run_rollouts
from finetune.sfta.rollouts import Rollout, RolloutMaker, RolloutSettings, make_rollouts, shard_of
from tests.graphs.paper_world import BrightnessReward, WordEmbedder
from tool_specs.calls import Call
from tool_specs.exceptions import BackendError, ConfigError
from tool_specs.search.shortlist import Shortlister


class GreyBackend(Backend):
    """Draws noise that is the brighter the more steps a call has; what has a cfg scale above 15 fails."""

    def __init__(self) -> None:
        self.drawn: list[Call] = []

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw; see `Backend.draw`."""
        self.drawn.append(call)
        if call.cfg_scale > 15:
            msg = "out of memory"
            raise BackendError(msg)
        noise = np.random.default_rng(call.seed).normal(0, 6, (call.height, call.width, 3))
        pixels = np.clip(2.5 * call.steps + noise - noise.mean(), 0, 255).astype(np.uint8)
        return Drawing(Image.fromarray(pixels), call, 0.01)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return pocket_pairs(pocket_world(), {"train": 10})


@pytest.fixture(scope="module")
def untaught(tiny_planner: Path) -> LocalChatDiffAgent:
    return LocalChatDiffAgent(folder=tiny_planner, device="cpu")


@pytest.fixture
def settings(tiny_planner: Path, tmp_path: Path) -> RolloutSettings:
    return RolloutSettings(
        model=tiny_planner, data=tmp_path / "data", out=tmp_path / "rows", sampled=2, perturbed=1, finalists=0
    )


@pytest.fixture
def backend() -> GreyBackend:
    backend = GreyBackend()
    assert isinstance(backend, Backend)
    return backend


@pytest.fixture
def maker(
    untaught: LocalChatDiffAgent, backend: GreyBackend, settings: RolloutSettings, tmp_path: Path
) -> RolloutMaker:
    studio = Studio(backend, BrightnessReward(), tmp_path / "judged")
    shortlister = Shortlister(pocket_world().catalog, WordEmbedder())
    return RolloutMaker(untaught, untaught.decoder.tokenizer, shortlister, studio, settings)


def called(response: str) -> dict[str, float]:
    return json.loads(response.split("\n")[1])["arguments"]


def test_candidates_are_worth_what_their_pictures_are(
    maker: RolloutMaker, backend: GreyBackend, pairs: list[Pair]
) -> None:
    for pair in pairs:
        if pair.call is None:
            continue
        backend.drawn.clear()
        row = maker.rollout(pair)
        assert (row.id, row.sources[0], row.sources[-1]) == (pair.id, "gold", "refusal")
        assert len(row.responses) == len(row.rewards) == len(row.sources)
        assert row.rewards[-1] == 0.0
        for response, reward in zip(row.responses[:-1], row.rewards, strict=False):
            arguments = called(response)
            expected = 0.0 if arguments["cfg_scale"] > 15 else min(1.0, 2.5 * arguments["steps"] / 255)
            assert reward == pytest.approx(expected, abs=0.02)
        assert {call.seed for call in backend.drawn} == {seed_of(pair.id), seed_of(pair.id, 1)}
        # Two pictures that fail together are tried one by one, and again after an ordinary one.
        assert len(backend.drawn) == sum(
            7 if called(response)["cfg_scale"] > 15 else 2 for response in row.responses[:-1]
        )


def test_what_one_seed_gives_is_averaged_over_all(
    untaught: LocalChatDiffAgent, pairs: list[Pair], settings: RolloutSettings, tmp_path: Path
) -> None:
    class LuckyBackend(GreyBackend):
        """Every other picture is twice as bright."""

        def draw(self, call: Call, **others: object) -> Drawing:
            steps = 40 if len(self.drawn) % 2 else 80
            return super().draw(call.model_copy(update={"steps": steps, "cfg_scale": 5.0}))

    studio = Studio(LuckyBackend(), BrightnessReward(), tmp_path / "lucky")
    shortlister = Shortlister(pocket_world().catalog, WordEmbedder())
    maker = RolloutMaker(untaught, untaught.decoder.tokenizer, shortlister, studio, settings)
    rewards = maker.rollout(next(pair for pair in pairs if pair.call)).rewards
    assert rewards[:-1] == [pytest.approx(2.5 * 60 / 255, abs=0.02)] * (len(rewards) - 1)


def test_the_best_candidates_are_drawn_with_more_seeds(
    untaught: LocalChatDiffAgent, pairs: list[Pair], settings: RolloutSettings, tmp_path: Path
) -> None:
    class LuckyBackend(GreyBackend):
        """The first two pictures of a call are bright and the others dark."""

        def draw(self, call: Call, **others: object) -> Drawing:
            lucky = call.seed in (seed_of(pair.id), seed_of(pair.id, 1))
            return super().draw(call.model_copy(update={"steps": 90 if lucky else 30, "cfg_scale": 5.0}))

    pair = next(pair for pair in pairs if pair.call)
    backend = LuckyBackend()
    studio = Studio(backend, BrightnessReward(), tmp_path / "lucky")
    shortlister = Shortlister(pocket_world().catalog, WordEmbedder())
    few = settings.model_copy(update={"finalists": 2, "finalist_seeds": 6})
    maker = RolloutMaker(untaught, untaught.decoder.tokenizer, shortlister, studio, few)
    rewards = maker.rollout(pair).rewards[:-1]
    # Each that was lucky becomes one of the best in its turn, and is then found out.
    assert rewards == [pytest.approx(2.5 * (2 * 90 + 4 * 30) / 6 / 255, abs=0.02)] * len(rewards)
    assert len(backend.drawn) == 6 * len(rewards)


def test_calls_for_what_nothing_draws_are_worth_nothing_undrawn(
    maker: RolloutMaker, backend: GreyBackend, pairs: list[Pair]
) -> None:
    rows = [maker.rollout(pair) for pair in pairs if pair.call is None]
    assert rows
    for row in rows:
        assert row.rewards == [0.0] * (len(row.rewards) - 1) + [1.0]
        assert "gold" not in row.sources
    assert max(len(row.rewards) for row in rows) > 1
    assert backend.drawn == []


def test_rows_are_in_the_words_of_the_template(
    maker: RolloutMaker, untaught: LocalChatDiffAgent, pairs: list[Pair], settings: RolloutSettings
) -> None:
    (row,) = make_rollouts(pairs[:1], maker, settings)
    assert row.prompt.startswith("<|tools|>\ncivitai_9")
    assert row.prompt.endswith(f"<|user|>{pairs[0].instruction}<|assistant|>")
    assert all(response.endswith("<|end|>") and response.count("<|end|>") == 1 for response in row.responses)
    (ranking,) = read_rankings(settings.rows, untaught.decoder.tokenizer, 4096)
    assert ranking.rewards == sorted(row.rewards, reverse=True)


def test_it_goes_on_behind_the_last_whole_line(
    maker: RolloutMaker, backend: GreyBackend, pairs: list[Pair], settings: RolloutSettings
) -> None:
    whole = make_rollouts(pairs[:4], maker, settings)
    text = settings.rows.read_bytes()
    assert text.count(b"\n") == 4
    settings.rows.write_bytes(text[: text.rstrip(b"\n").rfind(b"\n") + 40])
    backend.drawn.clear()
    seen: list[None] = []
    assert make_rollouts(pairs[:4], maker, settings, on_pair=lambda: seen.append(None)) == whole
    assert settings.rows.read_bytes() == text
    assert len(seen) == 4
    assert backend.drawn == []
    assert make_rollouts(pairs[:5], maker, settings)[:4] == whole
    settings.rows.write_bytes(b"{}\n" + text)
    with pytest.raises(ConfigError, match=r"line 1 of .*rollouts-0-of-1\.jsonl is no rollout"):
        make_rollouts(pairs[:4], maker, settings)


@pytest.mark.parametrize(("shards", "limit"), [(1, None), (3, None), (3, 7), (20, None)])
def test_shards_share_the_pairs(pairs: list[Pair], settings: RolloutSettings, shards: int, limit: int | None) -> None:
    parts = [settings.model_copy(update={"shards": shards, "shard": n, "limit": limit}) for n in range(shards)]
    taken = [pair.id for part in parts for pair in shard_of(pairs, part)]
    assert sorted(taken) == sorted(pair.id for pair in pairs[:limit])
    assert len({part.rows for part in parts}) == shards


def test_a_shard_that_is_not_there_is_named(settings: RolloutSettings) -> None:
    with pytest.raises(ConfigError, match="shard 2 is none of 2; give a shard from 0 to 1"):
        run_rollouts(settings.model_copy(update={"shard": 2, "shards": 2}))


def test_a_pair_that_cannot_be_asked_is_left_out_and_tried_again(
    maker: RolloutMaker, pairs: list[Pair], settings: RolloutSettings
) -> None:
    odd = pairs[0].model_copy(update={"id": "odd", "instruction": "!!!"})
    seen: list[None] = []
    for turn in (1, 2):
        left_out: list[LeftOut] = []
        rows = make_rollouts(
            [odd, *pairs[:2]], maker, settings, on_pair=lambda: seen.append(None), on_left_out=left_out.append
        )
        assert [row.id for row in rows] == [pair.id for pair in pairs[:2]]
        assert [(one.pair, "holds no words" in one.reason) for one in left_out] == [("odd", True)]
        assert len(seen) == 3 * turn
    mended = odd.model_copy(update={"instruction": "a fox"})
    assert len(make_rollouts([mended, *pairs[:2]], maker, settings)) == 3


def test_a_planner_in_several_files_is_known_by_all_of_them(
    untaught: LocalChatDiffAgent, settings: RolloutSettings, tmp_path: Path
) -> None:
    sharded = tmp_path / "sharded"
    shutil.copytree(untaught.folder, sharded)
    (sharded / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_pretrained(untaught.folder)
    model.save_pretrained(sharded, max_shard_size="20KB")
    assert len(list(sharded.glob("model-*.safetensors"))) > 1
    write_pairs(settings.data, [Pair(id="nothing", instruction="!!!", split="train")], card="One pair.")
    settings = settings.model_copy(update={"model": sharded})
    left_out: list[LeftOut] = []
    assert run_rollouts(settings, on_left_out=left_out.append) == []
    assert [one.pair for one in left_out] == ["nothing"]
    moved = settings.model_copy(update={"model": sharded.rename(tmp_path / "moved")})
    run_rollouts(moved)
    moved.rows.touch()  # a note without rows is of no weight
    model.get_input_embeddings().weight.data += 1.0
    model.save_pretrained(moved.model, max_shard_size="20KB")
    with pytest.raises(ConfigError, match=r"was begun with another planner; choose another out"):
        run_rollouts(moved)
    with pytest.raises(ConfigError, match=r"there is no planner in .*sharded; name the folder of its weights"):
        run_rollouts(settings)


@pytest.mark.slow
def test_real_pictures_are_drawn_and_judged(pairs: list[Pair], settings: RolloutSettings, tmp_path: Path) -> None:
    chosen = [next(pair for pair in pairs if (pair.call is None) is nothing) for nothing in (True, False)]
    write_pairs(settings.data, chosen, card="Two pairs.")
    settings = settings.model_copy(update={"sampled": 1, "perturbed": 0, "pictures": tmp_path / "pictures"})
    rows = run_rollouts(settings)
    assert [row.id for row in rows] == [pair.id for pair in chosen]
    assert rows[0].rewards[-1] == 1.0
    assert 0 < rows[1].rewards[0] < 1
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2 * (len(rows[1].responses) - 1)
    assert [Rollout.model_validate_json(line) for line in settings.rows.read_text().splitlines()] == rows
    with pytest.raises(ConfigError, match=r"rollouts-0-of-1\.jsonl was begun with another temperature; choose another"):
        run_rollouts(settings.model_copy(update={"temperature": 0.5}))
