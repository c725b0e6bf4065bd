"""The models of a catalog as LangChain documents."""

from __future__ import annotations

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from diffagent_tools.candidates import ModelType, candidate, find_models
from diffagent_tools.tools.descriptions import summary_of
from tool_specs.search.shortlist import AnyShortlister


class ModelRetriever(BaseRetriever):
    """Finds the models that suit a request.

    A document's text says what the model is, in the model's own words quoted and bounded; its metadata holds `id`,
    `name`, `tool`, `type`, `family`, `score`, `why` and `matched`.

    ```python
    retriever = ModelRetriever(shortlister=DiffAgentToolkit.pocket().shortlister, k=3)
    [document.metadata["id"] for document in retriever.invoke("a kitten, 8-bit")]
    ```
    """

    shortlister: AnyShortlister = Field(exclude=True, repr=False)
    """Search over a catalog."""
    k: int = Field(default=5, ge=1)
    """Most documents; `invoke(..., k=3)` asks for another number."""
    type: ModelType | None = None
    """Only models of this type; by default checkpoints and networks take turns."""

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        k: int | None = None,
    ) -> list[Document]:
        hits, _ = find_models(self.shortlister, query, self.k if k is None else k, self.type)
        return [Document(summary_of(hit.spec), id=hit.spec.id, metadata=dict(candidate(hit))) for hit in hits]
