"""The parts of the pocket world, each made when it is first asked for: reading the catalog loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from graphs.folders import check_writable
from tool_specs.exceptions import CatalogError
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
    from tool_specs.catalog import Catalog
    from tool_specs.rules import Rules
    from tool_specs.search.ranked import RankedShortlister
    from tool_specs.search.shortlist import Shortlister
    from tool_specs.store.catalog import StoredCatalog

PlannerName = Literal["pocket", "retrieval", "server"]


class _Parts(TypedDict):
    catalog: Catalog
    shortlister: Shortlister
    backend: Backend
    reward: Reward
    store: ArtifactStore
    planner: BaseChatModel


class Workshop:
    """Catalog, search, planner, backend, reward and stores of the pocket world, under one home folder."""

    def __init__(self, planner: PlannerName | None = None) -> None:
        """Choose who plans.

        Args:
            planner: "retrieval": what search ranks first, without a language model. "pocket": the pocket planner, a
                language model in process. "server": the one at `DIFFAGENT_BASE_URL`, which is also the default where
                that is set; else retrieval is.
        """
        self._planner_name = planner

    @cached_property
    def home(self) -> Path:
        """Where pictures and threads are kept; whether it can be written to shows when something is kept."""
        return home_folder()

    @cached_property
    def catalog(self) -> Catalog:
        """The models there are."""
        from tool_specs.catalog import Catalog

        return Catalog.pocket()

    @cached_property
    def shortlister(self) -> Shortlister:
        """Search over the catalog."""
        from diffagent_tools.embeddings import MiniLMEmbedder
        from tool_specs.search.shortlist import Shortlister

        return Shortlister(self.catalog, MiniLMEmbedder())

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
        """Who picks the model and writes the call."""
        from diffagent_tools.serving.endpoint import chosen_base_url

        name = self._planner_name or ("server" if chosen_base_url() else "retrieval")
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
        from diffagent_tools.backends.queued import QueuedBackend

        return QueuedBackend(DiffusersBackend(self.catalog, pictures=self.store.load))

    @cached_property
    def reward(self) -> Reward:
        """What judges."""
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
