from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from PIL import Image

from diffagent_tools.artifacts import ArtifactStore, ImageReference
from diffagent_tools.rewards.unified import UnifiedReward
from diffagent_tools.tools.score_image import ScoreImageTool
from tests.diffagent_tools.rewards.pictures import picture
from tests.diffagent_tools.tools.calls import acalled, called
from tool_specs.calls import PocketCall
from tool_specs.exceptions import WeightsError

CALL = PocketCall(checkpoint="civitai:9001@9101", prompt="a cat", seed=1)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture(scope="module")
def reward() -> UnifiedReward:
    return UnifiedReward.pocket()


@pytest.fixture
def reference(store: ArtifactStore) -> ImageReference:
    return store.save(picture(1), CALL, infotext="")


@pytest.fixture
def tool(store: ArtifactStore, reward: UnifiedReward) -> BaseTool:
    return ScoreImageTool(reward=reward, store=store)


class Parts:
    """What LangChain's own suites ask about."""

    @pytest.fixture(autouse=True)
    def _parts(self, store: ArtifactStore, reference: ImageReference, reward: UnifiedReward) -> None:
        self._store, self._reference, self._reward = store, reference, reward

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ScoreImageTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": self._store, "reward": self._reward}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"image": self._reference["sha256"], "prompt": "a cat"}


class TestUnit(Parts, ToolsUnitTests):
    """LangChain's own suite of what a tool is."""


class TestIntegration(Parts, ToolsIntegrationTests):
    """LangChain's own suite of what a tool answers."""


def test_hash_and_path_name_the_same_picture(
    tool: BaseTool, reward: UnifiedReward, store: ArtifactStore, reference: ImageReference
) -> None:
    digest = reference["sha256"]
    names = [digest, reference["path"], f"{digest}.png", f"C:\\pictures\\{digest}.png", f" {digest}\n"]
    messages = [called(tool, image=name, prompt="a cat") for name in names]
    assert {message.text for message in messages} == {messages[0].text}
    score = reward.score([picture(1)], ["a cat"])[0]
    raw = reward.raw_scores([picture(1)], ["a cat"])[0]
    assert messages[0].artifact == {
        "type": "diffagent.score", "image": reference, "prompt": "a cat", "reward": pytest.approx(score, abs=1e-4),
        "scores": {"clip-pocket": pytest.approx(raw["clip-pocket"], abs=1e-3)},
        "fault": None,
    }  # fmt: skip
    assert json.loads(messages[0].text)["reward"] == messages[0].artifact["reward"]


async def test_a_black_picture_is_told(tool: BaseTool, store: ArtifactStore) -> None:
    black = store.save(Image.new("RGB", (64, 64)), CALL, infotext="")
    message = await acalled(tool, image=black["sha256"], prompt="a cat")
    assert json.loads(message.text)["fault"] == "the picture is black"


@pytest.mark.parametrize(
    ("name", "said"), [("0" * 64, "cannot be read"), ("/etc/passwd", "SHA-256"), ("../../x", "SHA-256")]
)
def test_another_file_is_never_read(tool: BaseTool, name: str, said: str) -> None:
    message = called(tool, image=name, prompt="a cat")
    assert message.status == "error"
    assert said in message.text


def test_a_file_outside_of_the_store_is_not_judged_whatever_it_is_called(tool: BaseTool, tmp_path: Path) -> None:
    outside = tmp_path / f"{'a' * 64}.png"
    picture(2).save(outside)
    assert called(tool, image=str(outside), prompt="a cat").status == "error"


class BrokenReward:
    name = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        raise self.error


def test_a_reward_that_cannot_be_loaded_is_told(store: ArtifactStore, reference: ImageReference) -> None:
    tool = ScoreImageTool(reward=BrokenReward(WeightsError("no weights")), store=store)
    message = called(tool, image=reference["sha256"], prompt="a cat")
    assert (message.status, message.text) == ("error", "no weights")


def test_a_bug_is_raised(store: ArtifactStore, reference: ImageReference) -> None:
    tool = ScoreImageTool(reward=BrokenReward(RuntimeError("a bug")), store=store)
    with pytest.raises(RuntimeError, match="a bug"):
        called(tool, image=reference["sha256"], prompt="a cat")
