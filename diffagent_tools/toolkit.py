"""All that a LangChain app needs to draw: a few tools that reach every model of a catalog."""

from __future__ import annotations

from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, BaseToolkit
from pydantic import ConfigDict, Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from diffagent_tools.backends.reported import ReportedBackend
from diffagent_tools.planning import SHORTLIST_SIZE
from diffagent_tools.rewards.protocol import Reward
from diffagent_tools.tools.describe_model import DescribeModelTool
from diffagent_tools.tools.generate_image import GenerateImageTool
from diffagent_tools.tools.generation import GenerationTool, tools_for
from diffagent_tools.tools.score_image import ScoreImageTool
from diffagent_tools.tools.search_models import SearchModelsTool
from tool_specs.catalog import AnyCatalog, Catalog
from tool_specs.home import home_folder
from tool_specs.search.shortlist import AnyShortlister, Shortlist


class DiffAgentToolkit(BaseToolkit):
    """Tools over a catalog of image models, however large.

    ```python
    toolkit = DiffAgentToolkit.pocket()
    agent = create_agent(chat_model, toolkit.get_tools())
    ```

    `get_tools` gives four tools that reach every model. `tools_for` gives one typed tool for each model that suits a
    request. Bind those of one request, never those of a whole catalog.

    Pictures are kept in the store; messages hold only references to them (`diffagent_tools.tools.results`). While a
    picture is drawn inside a graph, its steps go to the stream writer (`diffagent_tools.progress`).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    catalog: AnyCatalog = Field(exclude=True, repr=False)
    """The models there are."""
    backend: Backend = Field(exclude=True, repr=False)
    """What draws."""
    planner: BaseChatModel = Field(exclude=True, repr=False)
    """Picks a model and writes the call where `generate_image` is not told which model to take."""
    shortlister: AnyShortlister = Field(exclude=True, repr=False)
    """Finds the few models for a request."""
    reward: Reward = Field(exclude=True, repr=False)
    """Judges pictures."""
    store: ArtifactStore = Field(exclude=True, repr=False)
    """Keeps pictures."""

    def __init__(
        self,
        *,
        catalog: AnyCatalog,
        backend: Backend,
        planner: BaseChatModel | None = None,
        shortlister: AnyShortlister | None = None,
        reward: Reward | None = None,
        store: ArtifactStore | None = None,
    ) -> None:
        """Put the parts together; no weights are loaded before they are needed.

        Args:
            catalog: The models there are.
            backend: What draws.
            planner: A chat model with `bind_tools`; by default `RetrievalChatModel`, which takes what search ranks
                first and needs no language model.
            shortlister: Search over the catalog; by default the one that fits the catalog: `RankedShortlister` for one
                on disk, `Shortlister` with MiniLM for one in memory.
            reward: By default `UnifiedReward.pocket()`, which judges pocket pictures.
            store: By default the folder `artifacts` in DiffAgent's home folder.
        """
        shortlister = shortlister or _search(catalog)
        parts: dict[str, Any] = {
            "catalog": catalog,
            "backend": backend,
            "planner": planner or _retrieval(catalog, shortlister),
            "shortlister": shortlister,
            "reward": reward or _pocket_reward(),
            "store": store or ArtifactStore(home_folder() / "artifacts"),
        }
        super().__init__(**parts)

    @classmethod
    def pocket(cls) -> Self:
        """The one that works at once: the models that ship inside this package, planned and drawn in this process.

        Raises:
            CatalogError: The records of the pocket models are missing or damaged.
        """
        from diffagent_tools.backends.diffusers_backend import DiffusersBackend
        from diffagent_tools.chat_models.local import LocalChatDiffAgent

        catalog = Catalog.pocket()
        store = ArtifactStore(home_folder() / "artifacts")
        backend = DiffusersBackend(catalog, pictures=store.load)
        return cls(catalog=catalog, backend=backend, planner=LocalChatDiffAgent(), store=store)

    def get_tools(self) -> list[BaseTool]:
        """`search_models`, `describe_model`, `generate_image` and `score_image`."""
        return [
            SearchModelsTool(shortlister=self.shortlister),
            DescribeModelTool(catalog=self.catalog, rules=self.shortlister.rules),
            GenerateImageTool(
                catalog=self.catalog,
                shortlister=self.shortlister,
                planner=self.planner,
                backend=ReportedBackend(self.backend),
                store=self.store,
            ),
            ScoreImageTool(reward=self.reward, store=self.store),
        ]

    def tools_for(self, request: str, *, k: int = SHORTLIST_SIZE) -> list[BaseTool]:
        """One typed tool for each of the at most `k` models that suit a request, best first.

        Raises:
            RequestError: The request is empty or too long, or `k` is below 1.
        """
        return list(self.tools_of(self.shortlister.shortlist(request, k)))

    def tools_of(self, shortlist: Shortlist) -> list[GenerationTool]:
        """One typed tool for each checkpoint of a shortlist, each offering the shortlist's networks that fit it."""
        return tools_for(shortlist, ReportedBackend(self.backend), self.store)


def _search(catalog: AnyCatalog) -> AnyShortlister:
    from tool_specs.store.catalog import StoredCatalog

    if isinstance(catalog, StoredCatalog):
        from tool_specs.search.ranked import RankedShortlister

        return RankedShortlister(catalog)
    from diffagent_tools.embeddings import MiniLMEmbedder
    from tool_specs.search.shortlist import Shortlister

    return Shortlister(catalog, MiniLMEmbedder())


def _retrieval(catalog: AnyCatalog, shortlister: AnyShortlister) -> BaseChatModel:
    from diffagent_tools.chat_models.retrieval import RetrievalChatModel

    return RetrievalChatModel(catalog=catalog, shortlister=shortlister)


def _pocket_reward() -> Reward:
    from diffagent_tools.rewards.unified import UnifiedReward

    return UnifiedReward.pocket()
