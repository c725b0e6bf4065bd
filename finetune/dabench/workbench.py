"""What evaluation and rollouts work with: search over a catalog, and what draws and judges pictures of its models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from diffagent_tools.rewards.protocol import Reward
    from finetune.dabench.drawing import Studio
    from tool_specs.catalog import AnyCatalog
    from tool_specs.search.shortlist import AnyShortlister
    from tool_specs.spec import ToolSpec


@dataclass(frozen=True, slots=True)
class Workbench:
    """What offers models, and what draws with them and judges.

    Attributes:
        shortlister: Search over the catalog.
        studio: Draws and judges.
    """

    shortlister: AnyShortlister
    studio: Studio


def opened_workbench(
    folder: Path | None, dataset: Path, judgements: Path, stack: ExitStack, *, pictures: Path | None = None
) -> Workbench:
    """Search over a catalog with what draws and judges its models, open as long as the stack.

    Args:
        folder: Of a stored catalog; None: the models that ship.
        dataset: Folder of the pairs that are asked.
        judgements: Where judgements are kept.
        stack: Closes the catalog.
        pictures: Where pictures are kept; without it they are not.

    Raises:
        CatalogError: There is no catalog in the folder, or it cannot be read.
        ConfigError: There are no reward models for a stored catalog, a split of the data set cannot be read, or a
            setting of the environment is wrong.
    """
    shortlister = opened_shortlister(folder, dataset, stack)
    return Workbench(shortlister, studio_for(shortlister.catalog, judgements, pictures=pictures))


def opened_shortlister(folder: Path | None, dataset: Path, stack: ExitStack) -> AnyShortlister:
    """Search over a stored catalog that is open as long as the stack, or over the models that ship.

    Of a stored catalog, what gives answers of the data set away is left out (`held_out_search`).

    Args:
        folder: Of a stored catalog; None: the models that ship.
        dataset: Folder of the pairs that are asked.
        stack: Closes the catalog.

    Raises:
        CatalogError: There is no catalog in the folder, or it cannot be read.
        ConfigError: A split of the data set cannot be read.
    """
    return search_over(opened_catalog(folder, stack), dataset)


def opened_catalog(folder: Path | None, stack: ExitStack) -> AnyCatalog:
    """A stored catalog that is open as long as the stack, or the models that ship where no folder is named.

    Raises:
        CatalogError: There is no catalog in the folder, or it cannot be read.
    """
    if folder is None:
        from tool_specs.catalog import Catalog

        return Catalog.pocket()
    from tool_specs.store.catalog import StoredCatalog
    from tool_specs.store.database import CatalogDatabase

    return StoredCatalog(stack.enter_context(CatalogDatabase.open(folder, read_only=True)))


def search_over(catalog: AnyCatalog, dataset: Path) -> AnyShortlister:
    """Search for the pairs of a data set; over a stored catalog it takes a while to see what has to be left out.

    Args:
        catalog: As `opened_catalog` gives it.
        dataset: Folder of the pairs that are asked.

    Raises:
        CatalogError: The catalog cannot be read.
        ConfigError: A split of the data set cannot be read.
    """
    from tool_specs.store.catalog import StoredCatalog

    if not isinstance(catalog, StoredCatalog):
        from diffagent_tools.embeddings import MiniLMEmbedder
        from tool_specs.search.shortlist import Shortlister

        return Shortlister(catalog, MiniLMEmbedder())
    from rich.console import Console

    from finetune.dabench.held_out_search import HeldOutShortlister, left_out_of

    with Console(stderr=True).status("looking for the evidence behind the pairs"):
        left_out = left_out_of(catalog.database, dataset)
    return HeldOutShortlister(catalog, left_out)


def stamp_of(catalog: AnyCatalog) -> str | None:
    """Stands for what a stored catalog holds: another one means other models or other evidence. None: those that ship.

    Raises:
        CatalogError: The catalog cannot be read.
    """
    from tool_specs.store.catalog import StoredCatalog

    if not isinstance(catalog, StoredCatalog):
        return None
    return f"{catalog.database.note('identity')} {catalog.database.version}"


def studio_for(catalog: AnyCatalog, judgements: Path, *, pictures: Path | None = None) -> Studio:
    """What draws with the models of a catalog and judges the pictures, as `diffagent draw` does.

    Weights of a stored catalog are found among the files that an import has read, in the folders that
    `DIFFAGENT_MODELS` names, or downloaded; the reward is that of the models in the folder that `DIFFAGENT_REWARDS`
    names. Models that ship are drawn from the files that ship and judged by the pocket reward.

    Args:
        catalog: A stored one, or that of the models that ship.
        judgements: Where judgements are kept.
        pictures: Where pictures are kept; without it they are not.

    Raises:
        ConfigError: There are no reward models for a stored catalog, or a setting of the environment is wrong.
    """
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend, shipped_file
    from diffagent_tools.backends.memory import MemoryBudget
    from diffagent_tools.rewards.unified import UnifiedReward
    from finetune.dabench.drawing import Studio
    from finetune.dabench.drawn_weights import DrawnWeights
    from tool_specs.downloads import WeightsFiles
    from tool_specs.store.catalog import StoredCatalog

    files: Callable[[ToolSpec], Path] = shipped_file
    reward: Reward = UnifiedReward.pocket()
    if isinstance(catalog, StoredCatalog):
        files, reward = WeightsFiles.from_environment(known=catalog.database.local_files()), _installed_reward()
    backend = DiffusersBackend(catalog, files=files, memory=MemoryBudget.from_environment())
    return Studio(backend, reward, judgements, pictures=pictures, weights=DrawnWeights(catalog, files))


def _installed_reward() -> Reward:
    """The reward models of this machine: without any, every picture would be worth the same."""
    from diffagent_tools.rewards.installed import FOLDER_VARIABLE, NoReward, installed_reward

    reward = installed_reward()
    if isinstance(reward, NoReward):
        msg = (
            f"nothing can judge pictures of a stored catalog: {FOLDER_VARIABLE} is not set; let it name the folder of "
            "your reward models (docs/rewards.md)"
        )
        raise ConfigError(msg)
    return reward
