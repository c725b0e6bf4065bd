"""The shortlist in two forms: as retrieval gives it, and as state keeps it."""

from __future__ import annotations

from diffagent_tools.candidates import Candidate, candidate
from graphs.state import Shortlisted
from tool_specs.catalog import AnyCatalog
from tool_specs.search.shortlist import Hit, Shortlist

MAX_NEAREST = 3


def recorded(shortlist: Shortlist) -> Shortlisted:
    """A shortlist as plain data: ids, names, scores and why; specs stay in the catalog."""
    return {
        "fits": shortlist.fits,
        "models": [candidate(hit) for hit in shortlist.hits],
        "networks": [candidate(hit) for hit in shortlist.networks],
        "nearest": [candidate(hit) for hit in shortlist.nearest[:MAX_NEAREST]],
    }


def restored(request: str, shortlist: Shortlisted, catalog: AnyCatalog) -> Shortlist:
    """The shortlist that was recorded, its specs looked up again.

    Raises:
        CatalogError: A model is no longer in the catalog.
    """
    return Shortlist(
        request=request,
        hits=tuple(_hit(one, catalog) for one in shortlist["models"]),
        networks=tuple(_hit(one, catalog) for one in shortlist["networks"]),
        excluded=(),
        fits=shortlist["fits"],
        nearest=tuple(_hit(one, catalog) for one in shortlist["nearest"]),
    )


def _hit(one: Candidate, catalog: AnyCatalog) -> Hit:
    """One recorded candidate with its spec."""
    return Hit(spec=catalog.get(one["id"]), score=one["score"], why=tuple(one["why"]), matched=())
