from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from diffagent_tools.artifacts import CALL_KEY, INFOTEXT_KEY, read_call
from diffagent_tools.backends.protocol import Drawing
from diffagent_tools.rewards import Calibration, Reward, Scale, UnifiedReward
from finetune.dabench.drawing import FILE_NAME, Judgement, Studio, seed_of
from finetune.dabench.drawn_weights import DrawnWeights
from tests.finetune.dabench.paper_pairs import GOLD, paper_pairs
from tests.graphs.paper_world import ANIMALS, CATALOG, PIXEL, PaperBackend
from tool_specs.calls import Call, parse_call
from tool_specs.exceptions import BackendError, CallError, ConfigError, DownloadError, PictureError
from tool_specs.families import POCKET
from tool_specs.infotext import parse_infotext
from tool_specs.spec import ToolSpec

FOX = paper_pairs()[0]


class Fixed:
    """The same score for every picture; `version` is what it was trained to."""

    name = "fixed"

    def __init__(self, score: float, version: str = "1") -> None:
        self.given = score
        self.identity = f"fixed {version}"

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        return [self.given] * len(images)


def unified(score: float = 1.0, version: str = "1", *, mean: float = 0.0, share: float = 1.0) -> Reward:
    rewards = [Fixed(score, version)]
    return UnifiedReward(rewards, Calibration({"fixed": Scale(mean, 1.0, 9)}), weights={"fixed": share})


def judged(studio: Studio) -> Judgement:
    (judgement,) = studio.judgements(GOLD, FOX, pictures=1)
    return judgement


def test_a_judgement_is_kept_for_as_long_as_the_reward_is_the_same(tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log")

    def reward_by(reward: Reward) -> float:
        return judged(Studio(backend, reward, tmp_path)).reward

    first = reward_by(unified())
    assert reward_by(unified()) == first
    assert len(backend.drawn) == 1
    others = [unified(5.0, "2"), unified(mean=9.0), unified(share=2.0), Fixed(1.0)]
    for number, other in enumerate(others, 2):
        assert reward_by(other) == other.score([None], ["a"])[0]  # type: ignore[list-item]
        assert len(backend.drawn) == number
    assert reward_by(unified()) == first
    assert len(backend.drawn) == 1 + len(others)


def test_a_judgement_is_kept_for_as_long_as_the_weights_are_the_same(tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log")
    file = tmp_path / "animals.safetensors"

    def files(spec: ToolSpec) -> Path:
        assert spec.id == ANIMALS
        return file

    def judge(content: bytes) -> int:
        file.write_bytes(content)
        studio = Studio(backend, unified(), tmp_path, weights=DrawnWeights(CATALOG, files))
        judged(studio)
        return len(backend.drawn)

    assert [judge(content) for content in (b"one", b"one", b"another", b"one")] == [1, 1, 2, 2]


def test_what_a_studio_depends_on_is_told(tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log")
    told = [Studio(backend, one, tmp_path).making() for one in (unified(), unified(), unified(mean=1.0))]
    assert told[0] == told[1] != told[2]
    weights = DrawnWeights(CATALOG, lambda _: tmp_path)
    assert set(Studio(backend, unified(), tmp_path, weights=weights).making()) == {"reward", "catalog"}


def test_pictures_of_a_call_are_drawn_together_and_each_once(tmp_path: Path) -> None:
    class Together(PaperBackend):
        batches: ClassVar[list[int]] = []

        def draw_batch(self, calls: Sequence[Call], **options: object) -> list[Drawing]:
            self.batches.append(len(calls))
            if len(calls) > 3:
                msg = "out of memory"
                raise BackendError(msg)
            return [self.draw(call) for call in calls]

    backend = Together(tmp_path / "log")
    studio = Studio(backend, unified(), tmp_path)
    two = studio.judgements(GOLD, FOX, pictures=2)
    assert studio.judgements(GOLD, FOX, pictures=1) == two[:1]
    assert studio.judgements(GOLD, FOX, pictures=4)[:2] == two
    assert backend.batches == [2, 2]
    assert len({one.key for one in studio.judgements(GOLD, FOX, pictures=9)}) == 9
    assert backend.batches == [2, 2, 5, 1, 1, 1, 1, 1]
    assert all(one.fault is None for one in studio.judgements(GOLD, FOX, pictures=9))
    assert Studio(backend, unified(), tmp_path).judgements(GOLD, FOX, pictures=2) == two


def test_weights_that_cannot_be_downloaded_are_no_judgement(tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log", faults={1: lambda: DownloadError("no network", transient=True)})
    with pytest.raises(DownloadError, match="no network"):
        judged(Studio(backend, unified(), tmp_path))
    assert judged(Studio(backend, unified(), tmp_path)).fault is None


def test_a_picture_that_is_kept_says_what_drew_it_and_for_which_pair(tmp_path: Path) -> None:
    file = tmp_path / "animals.safetensors"
    file.write_bytes(b"one")
    networks = {**GOLD, "loras": [{"id": PIXEL, "weight": 0.5}]}

    def kept(folder: str, call: dict, weights: DrawnWeights | None) -> tuple[Call, dict[str, str]]:
        pictures = tmp_path / folder
        studio = Studio(
            PaperBackend(tmp_path / "log"), unified(), tmp_path / f"judged {folder}", pictures=pictures, weights=weights
        )
        (judgement,) = studio.judgements(call, FOX, pictures=1)
        path = pictures / f"{judgement.key}.png"
        with Image.open(path) as image:
            return read_call(path), dict(image.info)

    call, told = kept("named", networks, DrawnWeights(CATALOG, lambda _: file))
    assert call == parse_call({**networks, "seed": seed_of(FOX.id)})
    assert json.loads(told[CALL_KEY])["pair"] == FOX.id
    read = parse_infotext(told[INFOTEXT_KEY])
    assert (read.model, dict(read.loras)) == ("Paper Animals", {"Paper Pixels": 0.5})
    _, told = kept("unnamed", GOLD, None)
    assert parse_infotext(told[INFOTEXT_KEY]).seed == seed_of(FOX.id)


def test_pictures_that_cannot_be_kept_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    studio = Studio(PaperBackend(tmp_path / "log"), unified(), tmp_path, pictures=tmp_path / "file")
    with pytest.raises(ConfigError, match=r"the picture .* cannot be written .*; choose another folder"):
        judged(studio)


def test_a_machine_that_draws_nothing_is_no_judgement(tmp_path: Path) -> None:
    full = PaperBackend(tmp_path / "log", faults={n: lambda: BackendError("out of memory") for n in (1, 2)})
    with pytest.raises(BackendError, match=r"out of memory; an ordinary picture of .* run again to go on"):
        judged(Studio(full, unified(), tmp_path))
    assert not (tmp_path / FILE_NAME).exists()
    assert judged(Studio(full, unified(), tmp_path)).fault is None


def test_a_call_that_fails_where_an_ordinary_one_is_drawn_is_to_blame(tmp_path: Path) -> None:
    class Small(PaperBackend):
        sizes: ClassVar[list[int]] = []

        def draw(self, call: Call, **options: object) -> Drawing:
            self.sizes.append(call.width)
            if call.width > POCKET.width:
                msg = "out of memory"
                raise BackendError(msg)
            return super().draw(call)

    backend, large = Small(tmp_path / "log"), {**GOLD, "width": POCKET.max_size}
    (judgement,) = Studio(backend, unified(), tmp_path).judgements(large, FOX, pictures=1)
    assert (judgement.reward, judgement.fault) == (0.0, "out of memory")
    assert backend.sizes == [POCKET.max_size, POCKET.width, POCKET.max_size]
    assert Studio(backend, unified(), tmp_path).judgements(large, FOX, pictures=1) == [judgement]
    assert len(backend.sizes) == 3


def test_a_machine_that_failed_for_a_moment_is_forgiven(tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log", faults={1: lambda: BackendError("out of memory")})
    assert judged(Studio(backend, unified(), tmp_path)).fault is None
    assert backend.drawn == [f"{ANIMALS} {seed_of(FOX.id)}"] * 3


@pytest.mark.parametrize("error", [CallError, PictureError])
def test_what_is_the_calls_own_fault_is_not_drawn_again(error: type[Exception], tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log", faults={1: lambda: error("not numbers")})
    assert judged(Studio(backend, unified(), tmp_path)).fault == "not numbers"
    assert len(backend.drawn) == 1


def test_a_checkpoint_that_never_draws_numbers_does_not_end_the_run(tmp_path: Path) -> None:
    faults = {1: lambda: BackendError("too large"), 2: lambda: PictureError("not numbers")}
    faults[3] = faults[1]
    backend = PaperBackend(tmp_path / "log", faults=faults)
    assert judged(Studio(backend, unified(), tmp_path)).fault == "too large"
