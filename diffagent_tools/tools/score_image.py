"""The tool that judges a picture."""

from __future__ import annotations

import json
from pathlib import PureWindowsPath

from langchain_core.tools import ArgsSchema
from pydantic import BaseModel, ConfigDict, Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.rewards.faults import find_fault
from diffagent_tools.rewards.protocol import Reward
from diffagent_tools.rewards.unified import reward_and_parts
from diffagent_tools.tools.faults import ActionableTool, told_to_the_model
from diffagent_tools.tools.results import ScoreResult
from tool_specs.calls import MAX_PROMPT
from tool_specs.exceptions import ArtifactError


class ScoreImageArguments(BaseModel):
    """Which picture is judged by which words."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(
        min_length=1, max_length=4096, description="A drawn picture: the `image` or the `path` that the drawing gave."
    )
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT, description="What the picture should show.")


class ScoreImageTool(ActionableTool):
    """Judges how well a picture of the store shows what a prompt asks for.

    Of a path only the file's name counts: a language model cannot make it read another file.

    ```python
    ScoreImageTool(reward=UnifiedReward.pocket(), store=store).invoke({"image": reference["sha256"], "prompt": "a fox"})
    ```
    """

    name: str = "score_image"
    description: str = (
        "Scores how well a drawn picture shows what a prompt asks for; higher is better, and on the unified scale of 0 "
        "to 1 an ordinary picture has 0.5. Says also what is plainly wrong with it, such as a black picture."
    )
    args_schema: ArgsSchema | None = ScoreImageArguments
    reward: Reward = Field(exclude=True, repr=False)
    """What judges."""
    store: ArtifactStore = Field(exclude=True, repr=False)
    """Where the pictures are."""

    def _run(self, image: str, prompt: str) -> tuple[str, ScoreResult]:
        with told_to_the_model(ArtifactError):
            # This reads the paths of every system, whichever it runs on.
            reference = self.store.find(PureWindowsPath(image.strip()).stem)
            picture = self.store.open(reference)
            reward, scores = reward_and_parts(self.reward, picture.convert("RGB"), prompt)
        result: ScoreResult = {
            "type": "diffagent.score",
            "image": reference,
            "prompt": prompt,
            "reward": round(reward, 4),
            "scores": {name: round(score, 4) for name, score in scores.items()},
            "fault": find_fault(picture, width=picture.width, height=picture.height),
        }
        told = {"image": reference["sha256"], **{name: result[name] for name in ("reward", "scores", "fault")}}
        return json.dumps(told), result
