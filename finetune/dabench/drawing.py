"""Draws the planners' calls and judges the pictures; what was drawn once is not drawn again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from diffagent_tools.artifacts import png_of
from diffagent_tools.backends.protocol import Backend, Drawing
from diffagent_tools.rewards.faults import find_fault
from diffagent_tools.rewards.protocol import Reward, identity_of
from diffagent_tools.rewards.unified import reward_and_parts
from finetune.dabench.drawn_weights import DrawnWeights
from finetune.dabench.pairs import Pair
from finetune.json_lines import JsonLines
from tool_specs.calls import Call, parse_call
from tool_specs.exceptions import BackendError, CallError, ConfigError, DownloadError, PictureError, WeightsError
from tool_specs.infotext import infotext_of
from tool_specs.whole_files import written_whole

FILE_NAME: Final = "drawings.jsonl"


class Judgement(BaseModel):
    """What a picture is worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Hash of the call with its seed, the text that the picture was judged by, and the studio's stamp for the call."""
    reward: float
    scores: dict[str, float] = {}
    fault: str | None = None
    """Why the picture is none: its reward is 0."""
    seconds: float = 0.0
    """Drawing it took."""


class Studio:
    """A backend and a reward, with a memory of what they made.

    Every planner's call for one pair is drawn with the same seeds: equal calls give equal pictures, and planners differ
    by their calls alone.

    Args:
        backend: Draws.
        reward: Judges, by the pair's reference.
        folder: Where judgements are kept.
        pictures: Where pictures are kept, under the key of their judgement, with the call and the pair's id inside;
            without it they are not. What was judged before is not drawn for that.
        weights: Tells the weights that the backend draws with from others of the same ids; without it a model whose
            file was replaced is not drawn again.
    """

    def __init__(
        self,
        backend: Backend,
        reward: Reward,
        folder: Path,
        *,
        pictures: Path | None = None,
        weights: DrawnWeights | None = None,
    ) -> None:
        self._backend = backend
        self._reward = reward
        self._pictures = pictures
        self._weights = weights
        self._lines = JsonLines(folder / FILE_NAME, Judgement)
        self._known = {row.key: row for row in self._lines.read()}

    @property
    def judge(self) -> str:
        """Name of the reward."""
        return self._reward.name

    def making(self) -> dict[str, str]:
        """What all judgements here depend on: the reward, and the models of the catalog with their weights.

        Raises:
            ConfigError: A reward model cannot be read.
            WeightsError: A file that ships cannot be read.
        """
        told = {"reward": _digest(identity_of(self._reward))}
        return told if self._weights is None else {**told, "catalog": self._weights.of_catalog()}

    def stamp(self, call: Mapping[str, object]) -> str:
        """Stands for the reward and for the weights that a call is drawn with: what a judgement depends on beside it.

        Args:
            call: As JSON.

        Raises:
            ConfigError: A reward model cannot be read.
            WeightsError: A model that the call names is nowhere.
        """
        weights = self._weights.of_call(parse_call(call)) if self._weights is not None else {}
        return _digest(identity_of(self._reward), weights)

    def judgements(self, call: Mapping[str, object], pair: Pair, *, pictures: int) -> list[Judgement]:
        """Draw several pictures of a pair's call, together where the backend can, and judge them.

        Args:
            call: As JSON.
            pair: Says what the pictures are judged by, and their seeds.
            pictures: How many; the first ones are those of a smaller number.

        Raises:
            WeightsError: A model on offer cannot be loaded: another planner would fail just so.
            DownloadError: Likewise one that is to be downloaded.
            BackendError: The machine draws nothing with the checkpoint: that is no judgement of the call.
            ConfigError: A reward model cannot be read, or a picture or its judgement not written.
        """
        parsed, stamp = parse_call(call), self.stamp(call)
        seeded = [parsed.model_copy(update={"seed": seed_of(pair.id, number)}) for number in range(pictures)]
        keyed = {_digest(one.model_dump(mode="json"), pair.reference, stamp): one for one in seeded}
        if missing := {key: one for key, one in keyed.items() if key not in self._known}:
            for key, drawn in zip(missing, self._draw([*missing.values()]), strict=True):
                self._known[key] = self._judge(drawn, pair, key)
                self._lines.append(self._known[key])
        return [self._known[key] for key in keyed]

    def _draw(self, calls: Sequence[Call]) -> list[Drawing | str]:
        """A drawing of each call, or why there is none; calls differ by their seeds alone."""
        try:
            return [*self._backend.draw_batch(calls)]
        except (WeightsError, DownloadError):
            raise
        except (CallError, BackendError) as error:
            if len(calls) > 1:
                # What fails together, for want of memory, may be drawn one by one.
                return [one for call in calls for one in self._draw([call])]
            if isinstance(error, CallError | PictureError):
                return [str(error)]
            return [self._drawn_again(calls[0], error)]

    def _drawn_again(self, call: Call, failure: BackendError) -> Drawing | str:
        """A second drawing of a call that failed on the machine, or why there is none.

        A fault of the machine may be gone in an hour and must not be kept as one of the call. So the call is blamed
        only where an ordinary picture with the same checkpoint can be drawn in between.
        """
        self._check_machine(call, failure)
        try:
            return self._backend.draw(call)
        except (WeightsError, DownloadError):
            raise
        except (CallError, BackendError) as error:
            return str(error)

    def _check_machine(self, call: Call, failure: BackendError) -> None:
        """See that the machine draws with the call's checkpoint, at the family's size and with its parameters."""
        told = {"family": call.family, "checkpoint": call.checkpoint, "prompt": call.prompt, "seed": call.seed}
        try:
            self._backend.draw(parse_call(told))
        except (WeightsError, DownloadError):
            raise
        except PictureError:
            return
        except (CallError, BackendError) as error:
            msg = (
                f"{failure}; an ordinary picture of {call.checkpoint} cannot be drawn here either ({error}), so the "
                "call is not judged: see to the machine and run again to go on"
            )
            raise BackendError(msg) from error

    def _judge(self, drawn: Drawing | str, pair: Pair, key: str) -> Judgement:
        if isinstance(drawn, str):
            return Judgement(key=key, reward=0.0, fault=drawn)
        seconds = round(drawn.seconds, 3)
        if self._pictures is not None:
            self._keep(drawn, pair, self._pictures / f"{key}.png")
        if fault := find_fault(drawn.image, width=drawn.call.width, height=drawn.call.height):
            return Judgement(key=key, reward=0.0, fault=fault, seconds=seconds)
        reward, scores = reward_and_parts(self._reward, drawn.image, pair.reference)
        return Judgement(key=key, reward=reward, scores=scores, seconds=seconds)

    def _keep(self, drawn: Drawing, pair: Pair, path: Path) -> None:
        """Write a picture with its call and its pair inside."""
        call = drawn.call
        specs = self._weights.specs_of(call) if self._weights is not None else []
        ids = {name: name for name in (call.checkpoint, *(use.id for use in call.loras))}
        infotext = infotext_of(call, specs, names=ids)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as partial:
                partial.write_bytes(png_of(drawn.image, call, infotext=infotext, extra={"pair": pair.id}))
        except OSError as error:
            msg = f"the picture {path} cannot be written ({error.strerror or error}); choose another folder"
            raise ConfigError(msg) from error


def seed_of(pair_id: str, number: int = 0) -> int:
    """The seed of every planner's picture with this number for a pair."""
    named = f"{pair_id}/{number}" if number else pair_id
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:4], "big")


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
