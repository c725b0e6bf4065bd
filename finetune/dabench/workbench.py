"""What evaluation and rollouts work with: search over a catalog, and what draws and judges pocket pictures."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune.dabench.drawing import Studio
    from tool_specs.search.shortlist import AnyShortlister, Shortlister


def pocket_shortlister() -> Shortlister:
    """Search over the models that ship."""
    from diffagent_tools.embeddings import MiniLMEmbedder
    from tool_specs.catalog import Catalog
    from tool_specs.search.shortlist import Shortlister

    return Shortlister(Catalog.pocket(), MiniLMEmbedder())


def opened_shortlister(folder: Path | None, stack: ExitStack) -> AnyShortlister:
    """Search over a stored catalog that is open as long as the stack, or over the models that ship.

    Raises:
        CatalogError: There is no catalog in the folder, or it cannot be read.
    """
    if folder is None:
        return pocket_shortlister()
    from tool_specs.search.ranked import RankedShortlister
    from tool_specs.store.catalog import StoredCatalog
    from tool_specs.store.database import CatalogDatabase

    return RankedShortlister(StoredCatalog(stack.enter_context(CatalogDatabase.open(folder, read_only=True))))


def pocket_studio(folder: Path, *, pictures: Path | None = None) -> Studio:
    """What draws and judges pocket pictures.

    Args:
        folder: Where judgements are kept.
        pictures: Where pictures are kept; without it they are not.
    """
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend, shipped_file
    from diffagent_tools.rewards.unified import UnifiedReward
    from finetune.dabench.drawing import Studio
    from finetune.dabench.drawn_weights import DrawnWeights
    from tool_specs.catalog import Catalog

    catalog = Catalog.pocket()
    weights = DrawnWeights(catalog, shipped_file)
    return Studio(DiffusersBackend(catalog), UnifiedReward.pocket(), folder, pictures=pictures, weights=weights)
