"""The parts of the pocket world, or of your catalog, each made when it is first asked for: reading loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from graphs.events import tell_of_weights
from graphs.folders import check_writable
from tool_specs.exceptions import CatalogError, ConfigError
from tool_specs.home import home_folder

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from diffagent_tools.artifacts import ArtifactStore
    from diffagent_tools.backends.protocol import Backend
    from diffagent_tools.rewards.protocol import Reward
    from diffagent_tools.toolkit import DiffAgentToolkit
    from graphs.agent import DiffAgentGraph
    from graphs.compare import CompareGraph
    from graphs.refine import RefineGraph
    from graphs.storyboard import StoryboardGraph
    from tool_specs.catalog import AnyCatalog
    from tool_specs.rules import Rules
    from tool_specs.search.embedder import Embedder
    from tool_specs.search.ranked import RankedShortlister
    from tool_specs.search.shortlist import AnyShortlister, Shortlister
    from tool_specs.store.catalog import StoredCatalog

PlannerName = Literal["pocket", "retrieval", "server"]
DEFAULT_PLANNER: Final[PlannerName] = "pocket"
"""Who plans with the models that ship, where no server is named."""


class _Parts(TypedDict):
    catalog: AnyCatalog
    shortlister: AnyShortlister
    backend: Backend
    reward: Reward
    store: ArtifactStore
    planner: BaseChatModel


class Workshop:
    """Catalog, search, planner, backend, reward and stores, under one home folder."""

    def __init__(self, planner: PlannerName | None = None, *, stored: bool = False) -> None:
        """Choose who plans, and with which models.

        Args:
            planner: "retrieval": what search ranks first, without a language model. "pocket": the pocket planner, a
                language model in process. "server": the one at `DIFFAGENT_BASE_URL`, which is also the default where
                that is set; else the pocket one is, and retrieval with `stored` models.
            stored: Take the models of the catalog that `diffagent sync` or `diffagent import` filled, and not those
                that ship.
        """
        self._planner_name = planner
        self._stored = stored

    @property
    def chosen(self) -> str:
        """What was chosen, as a command line says it: `--planner NAME --stored`, or nothing."""
        planner = f"--planner {self._planner_name}" if self._planner_name else ""
        return " ".join(filter(None, [planner, "--stored" if self._stored else ""]))

    @cached_property
    def home(self) -> Path:
        """Where pictures and threads are kept; whether it can be written to shows when something is kept."""
        return home_folder()

    @cached_property
    def catalog(self) -> AnyCatalog:
        """The models there are."""
        from tool_specs.catalog import Catalog

        return self.stored_catalog if self._stored else Catalog.pocket()

    @cached_property
    def shortlister(self) -> AnyShortlister:
        """Search over the catalog."""
        return self.stored_shortlister() if self._stored else self.pocket_shortlister()

    def pocket_shortlister(self, rules: Rules | None = None) -> Shortlister:
        """Search over the models that ship."""
        from tool_specs.search.shortlist import Shortlister

        return Shortlister(self.catalog, self.embedder, rules=rules)

    @cached_property
    def embedder(self) -> Embedder:
        """What the models that ship are found by."""
        from diffagent_tools.embeddings import MiniLMEmbedder

        return MiniLMEmbedder()

    @property
    def has_stored_catalog(self) -> bool:
        """Whether a catalog was filled by `diffagent sync` or `diffagent import`."""
        from tool_specs.home import catalog_folder
        from tool_specs.store.database import FILE_NAME

        return (catalog_folder() / FILE_NAME).is_file()

    @cached_property
    def stored_catalog(self) -> StoredCatalog:
        """That catalog.

        Raises:
            CatalogError: There is none, or it cannot be read.
        """
        from tool_specs.store.catalog import StoredCatalog
        from tool_specs.store.database import CatalogDatabase

        return StoredCatalog(CatalogDatabase.open(read_only=True))

    def stored_shortlister(self, rules: Rules | None = None) -> RankedShortlister:
        """Search over that catalog, its index brought up to date."""
        from rich.console import Console

        from tool_specs.search.ranked import RankedShortlister

        shortlister = RankedShortlister(self.stored_catalog, rules=rules)
        with Console(stderr=True).status("indexing what changed in the catalog"):
            shortlister.index.view()
        return shortlister

    @cached_property
    def planner(self) -> BaseChatModel:
        """Who picks the model and writes the call.

        Raises:
            ConfigError: The pocket planner is asked to plan with models that it does not know how to prompt.
        """
        from diffagent_tools.serving.endpoint import chosen_base_url

        embedded = "retrieval" if self._stored else DEFAULT_PLANNER
        name = self._planner_name or ("server" if chosen_base_url() else embedded)
        if name == "pocket" and self._stored:
            msg = "the pocket planner writes prompts for the pocket models alone; choose --planner retrieval or server"
            raise ConfigError(msg)
        if name == "server":
            from diffagent_tools.chat_models.diffagent import ChatDiffAgent

            return ChatDiffAgent()
        if name == "pocket":
            from diffagent_tools.chat_models.local import LocalChatDiffAgent

            return LocalChatDiffAgent()
        from diffagent_tools.chat_models.retrieval import RetrievalChatModel

        return RetrievalChatModel(catalog=self.catalog, shortlister=self.shortlister)

    @cached_property
    def backend(self) -> Backend:
        """What draws: this process, or the replicas on the Ray cluster that `DIFFAGENT_RAY_ADDRESS` names."""
        from diffagent_tools.backends.ray.cluster import chosen_ray_address

        if address := chosen_ray_address():
            from diffagent_tools.backends.ray import RayBackend

            return RayBackend(address, pictures=self.store.load)
        from diffagent_tools.backends.diffusers_backend import DiffusersBackend
        from diffagent_tools.backends.memory import MemoryBudget
        from diffagent_tools.backends.queued import QueuedBackend

        options: dict[str, Any] = {"pictures": self.store.load, "memory": MemoryBudget.from_environment()}
        if self._stored:
            from tool_specs.downloads import WeightsFiles

            known = self.stored_catalog.database.local_files()
            options["files"] = WeightsFiles.from_environment(known=known, on_step=tell_of_weights)
        return QueuedBackend(DiffusersBackend(self.catalog, **options))

    @cached_property
    def reward(self) -> Reward:
        """What judges: for a catalog of yours the reward models in DIFFAGENT_REWARDS, if that is set."""
        if self._stored:
            from diffagent_tools.rewards.installed import installed_reward

            return installed_reward()
        from diffagent_tools.rewards.unified import UnifiedReward

        return UnifiedReward.pocket()

    @cached_property
    def store(self) -> ArtifactStore:
        """Where pictures go."""
        from diffagent_tools.artifacts import ArtifactStore

        return ArtifactStore(self.home / "artifacts")

    @cached_property
    def toolkit(self) -> DiffAgentToolkit:
        """The tools over these parts."""
        from diffagent_tools.toolkit import DiffAgentToolkit

        return DiffAgentToolkit(
            catalog=self.catalog,
            backend=self.backend,
            planner=self.planner,
            shortlister=self.shortlister,
            reward=self.reward,
            store=self.store,
        )

    def name(self, spec_id: str) -> str:
        """What people call the model with this id; the id itself where the catalog has lost it."""
        try:
            return self.catalog.get(spec_id).model_name
        except CatalogError:
            return spec_id

    def graph(self, checkpointer: BaseCheckpointSaver[str] | None = None) -> DiffAgentGraph:
        """The agent made of these parts."""
        from graphs.agent import create_diffagent

        return create_diffagent(**self._parts(), checkpointer=checkpointer)

    def compare(
        self, checkpointer: BaseCheckpointSaver[str] | None = None, *, models: int | None = None
    ) -> CompareGraph:
        """The graph that draws one request with several models, of these parts."""
        from graphs.compare import DEFAULT_MODELS, create_compare

        return create_compare(**self._parts(), checkpointer=checkpointer, models=models or DEFAULT_MODELS)

    def storyboard(self, checkpointer: BaseCheckpointSaver[str] | None = None) -> StoryboardGraph:
        """The graph that draws a story, of these parts."""
        from graphs.storyboard import create_storyboard

        return create_storyboard(**self._parts(), checkpointer=checkpointer)

    def refine(self, checkpointer: BaseCheckpointSaver[str] | None = None) -> RefineGraph:
        """The graph that improves a picture, of these parts."""
        from graphs.refine import create_refine

        return create_refine(**self._parts(), checkpointer=checkpointer)

    def _parts(self) -> _Parts:
        """What every graph is made of."""
        return {
            "catalog": self.catalog,
            "shortlister": self.shortlister,
            "backend": self.backend,
            "reward": self.reward,
            "store": self.store,
            "planner": self.planner,
        }

    @contextmanager
    def threads(self) -> Iterator[BaseCheckpointSaver[str]]:
        """Where requests are kept, open for as long as the `with` block runs.

        Raises:
            ConfigError: The home folder cannot be made or written to.
        """
        from langgraph.checkpoint.sqlite import SqliteSaver

        check_writable(self.home, remedy="set DIFFAGENT_HOME to a folder of yours")
        with SqliteSaver.from_conn_string(str(self.home / "threads.sqlite")) as saver:
            yield saver
