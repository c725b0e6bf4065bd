"""The pocket models with all that is needed to draw and judge with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune.dabench.drawing import Studio
    from tool_specs.search.shortlist import Shortlister


def pocket_shortlister() -> Shortlister:
    """Search over the models that ship."""
    from diffagent_tools.embeddings import MiniLMEmbedder
    from tool_specs.catalog import Catalog
    from tool_specs.search.shortlist import Shortlister

    return Shortlister(Catalog.pocket(), MiniLMEmbedder())


def pocket_studio(folder: Path, *, pictures: Path | None = None) -> Studio:
    """What draws and judges pocket pictures.

    Args:
        folder: Where judgements are kept.
        pictures: Where pictures are kept; without it they are not.
    """
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend
    from diffagent_tools.rewards.clip import CLIPReward
    from diffagent_tools.rewards.unified import Calibration, UnifiedReward
    from finetune.dabench.drawing import Studio
    from tool_specs.catalog import Catalog
    from tool_specs.pocket import pocket_reward

    reward = UnifiedReward([CLIPReward()], Calibration.load(pocket_reward() / "calibration.json"))
    return Studio(DiffusersBackend(Catalog.pocket()), reward, folder, pictures=pictures)
