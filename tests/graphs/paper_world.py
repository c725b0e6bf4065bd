"""A small world for testing the graph: real specs, a real store, and a backend and a reward that need no weights."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from graphs.agent import DiffAgentGraph, create_diffagent
from tests.pocket_arguments import pocket_arguments
from tool_specs.calls import Call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import DrawingCancelled
from tool_specs.families import family_of
from tool_specs.search.shortlist import Shortlister
from tool_specs.spec import Example, ModelFile, Recommended, Spread, ToolSpec

ANIMALS, FOOD = "civitai:9001@9101", "civitai:9002@9102"
PIXEL, WATERCOLOR, OLD_STYLE = "civitai:9011@9111", "civitai:9012@9112", "civitai:9013@9113"


def spec_of(
    spec_id: str, name: str, tags: Sequence[str], *, kind: str = "Checkpoint", base_model: str = "Pocket"
) -> ToolSpec:
    """A spec with the defaults of its family."""
    model_id, version_id = (int(number) for number in re.findall(r"\d+", spec_id))
    family = family_of(base_model)
    file = ModelFile(
        id=version_id, name=f"{name}.safetensors", type="Model", format="SafeTensor", size_kb=1.0, primary=True
    )
    recommended = Recommended(
        sampler=family.sampler,
        steps=_spread(4 if base_model == "Pocket" else family.steps),
        cfg_scale=_spread(family.cfg_scale),
        width=family.width,
        height=family.height,
        widths=_spread(family.width),
        heights=_spread(family.height),
        clip_skip=family.clip_skip,
        weight=None if kind == "Checkpoint" else _spread(0.9),
    )
    return ToolSpec(
        id=spec_id,
        model_id=model_id,
        version_id=version_id,
        model_name=name,
        version_name="v1",
        type=kind,
        base_model=base_model,
        family=family.name,
        description=f"Draws {', '.join(tags)}.",
        tags=tuple(tags),
        trigger_words=() if kind == "Checkpoint" else tuple(tags[:1]),
        files=(file,),
        recommended=recommended,
        examples=(Example(prompt=f"a {tags[0]} on a blue background"),),
    )


def _spread(value: float) -> Spread:
    return Spread(median=value, low=value, high=value)


CATALOG = Catalog(
    (
        spec_of(ANIMALS, "Paper Animals", ("fox", "cat", "dog")),
        spec_of(FOOD, "Paper Food", ("pizza", "apple", "cake")),
        spec_of(PIXEL, "Paper Pixels", ("pixel art",), kind="LORA"),
        spec_of(WATERCOLOR, "Paper Watercolor", ("watercolor",), kind="LORA"),
        spec_of(OLD_STYLE, "Old Style", ("oil painting",), kind="LORA", base_model="SD 1.5"),
    )
)


FILLERS = frozenset(["a", "an", "the", "of", "on", "in", "picture", "landscape", "draws", "background"])
"""Words that say nothing about what is drawn, those that search itself puts around a term among them."""


class WordEmbedder:
    """Texts are near when they share words that matter: each is a fixed random direction."""

    name = "words"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The normalised sum of the directions of a text's words, (n, 64)."""
        rows = [self._row(text) for text in texts]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 64), np.float32)

    def _row(self, text: str) -> NDArray[np.float64]:
        words = [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in FILLERS] or [""]
        total = np.sum([self._direction(word) for word in words], axis=0)
        return np.asarray(total / np.linalg.norm(total))

    def _direction(self, word: str) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4])
        return np.random.default_rng(seed).standard_normal(64)


@dataclass
class PaperBackend(Backend):
    """Draws grey noise whose brightness is what the reward reads, and notes each drawing in a log file."""

    log: Path
    levels: Sequence[float] = (0.9,)
    """Reward of the first, second, … picture; the last one stays."""
    faults: Mapping[int, Callable[[], BaseException]] = field(default_factory=dict)
    """What the n-th drawing raises."""
    step_seconds: float = 0.0

    @property
    def drawn(self) -> list[str]:
        """One line for each drawing that was begun: its checkpoint and its seed."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw; see `Backend.draw`."""
        with self.log.open("a") as log:
            log.write(f"{call.checkpoint} {call.seed}\n")
        n = len(self.drawn)
        seed = call.seed if call.seed is not None else n
        for step in range(1, call.steps + 1):
            if cancel is not None and cancel.is_set():
                msg = f"stopped before step {step}"
                raise DrawingCancelled(msg)
            time.sleep(self.step_seconds)
            if on_step is not None:
                # A thread of its own, as a remote backend would call back.
                caller = threading.Thread(target=on_step, args=(StepProgress(step, call.steps),))
                caller.start()
                caller.join()
        if n in self.faults:
            raise self.faults[n]()
        level = self.levels[min(n, len(self.levels)) - 1]
        noise = np.random.default_rng(seed).normal(0, 6, (call.height, call.width, 3))
        pixels = np.clip(level * 255 + noise - noise.mean(), 0, 255).round().astype(np.uint8)
        return Drawing(Image.fromarray(pixels), call.model_copy(update={"seed": seed}), 0.01)


class BrightnessReward:
    """A picture is worth its mean brightness, 0 to 1, whatever was asked for."""

    name = "brightness"

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        """The mean of each picture."""
        return [float(np.asarray(image).mean()) / 255 for image in images]


class ScriptedPlanner(BaseChatModel):
    """A chat model that says what it is told to, one answer after the other, and remembers what it was shown."""

    answers: list[AIMessage]
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    tools: list[str] = Field(default_factory=list)
    choice: str | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Remember the names of the tools."""
        self.tools = [tool.name for tool in tools]
        self.choice = kwargs.get("tool_choice")
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.seen.append(list(messages))
        answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
        return ChatResult(generations=[ChatGeneration(message=answer.model_copy())])


def calling(model: str, *, tool: str | None = None, **changes: object) -> AIMessage:
    """An answer that calls a pocket model's tool with ordinary arguments."""
    name = tool or CATALOG.get(model).tool_name
    return AIMessage("", tool_calls=[{"name": name, "args": pocket_arguments(**changes), "id": "call_1"}])


def paper_agent(folder: Path, backend: PaperBackend, **options: Any) -> DiffAgentGraph:
    """The agent over the paper world."""
    return create_diffagent(
        catalog=options.pop("catalog", CATALOG),
        shortlister=Shortlister(CATALOG, WordEmbedder()),
        backend=backend,
        reward=BrightnessReward(),
        store=ArtifactStore(folder / "artifacts"),
        **options,
    )
