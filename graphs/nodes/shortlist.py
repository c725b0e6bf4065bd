"""First step: which models could draw the request, and does any of them fit?"""

from __future__ import annotations

from graphs.context import stop_if_cancelled
from graphs.events import emitter
from graphs.offer import recorded
from graphs.pins import narrowed
from graphs.request import checked_options, opening, request_of
from graphs.state import DiffAgentState
from tool_specs.catalog import AnyCatalog
from tool_specs.search.shortlist import AnyShortlister


class ShortlistNode:
    """Reads the request, asks retrieval, applies what the person fixed, and starts with a clean slate of attempts."""

    def __init__(self, catalog: AnyCatalog, shortlister: AnyShortlister, *, size: int) -> None:
        """Offer at most `size` models per request."""
        self._catalog = catalog
        self._shortlister = shortlister
        self._size = size

    def __call__(self, state: DiffAgentState) -> DiffAgentState:
        """Fill `request` and `shortlist`.

        Raises:
            RequestError: The request or an option cannot be used.
            CatalogError: The person named a model that is not there.
        """
        stop_if_cancelled()
        request = request_of(state)
        options = checked_options(state.get("options", {}))
        shortlist = recorded(narrowed(self._shortlister.shortlist(request, k=self._size), self._catalog, options))
        emitter()({"event": "shortlist", "request": request, **shortlist})
        return {
            "request": request,
            "options": options,
            **opening(state, request),  # type: ignore[typeddict-item]
            "shortlist": shortlist,
            "proposal": None,
            "drawn": None,
            "attempts": [],
            "best": None,
            "outcome": None,
        }


def anything_offered(state: DiffAgentState) -> bool:
    """Whether there is a model that the planner can be asked about; whether it fits is for the planner to say."""
    return bool(state["shortlist"]["models"])
