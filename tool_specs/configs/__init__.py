"""diffusers configuration folders that ship inside this package, so that single files load without a network.

Of Stable Diffusion 1.x, 2.x and XL, whose files hold every tensor: what is missing is JSON and CLIP's tokenizer. The
transformers that match flows are shared without their text encoders, which come from the model hub with their configs.
The tokenizer's vocabulary is OpenAI's (https://github.com/openai/CLIP, MIT), as open_clip ships it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tool_specs.pipelines import hub_config
from tool_specs.pocket import pocket_config
from tool_specs.spec import ToolSpec

CONFIGS_DIR: Final = Path(__file__).resolve().parent
"""The folder of this package: one folder for each family."""


def config_of(spec: ToolSpec) -> Path | str:
    """The folder, or the name on the model hub, of the diffusers configuration that a checkpoint is loaded with."""
    if spec.family == "pocket":
        return pocket_config()
    folder = CONFIGS_DIR / spec.family
    return folder if folder.is_dir() else hub_config(spec)
