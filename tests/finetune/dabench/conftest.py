from __future__ import annotations

import pytest

from tests.graphs.paper_world import CATALOG, WordEmbedder
from tool_specs.search.shortlist import Shortlister


@pytest.fixture(scope="session")
def paper_shortlister() -> Shortlister:
    """Search over a catalog without weights, by shared words."""
    return Shortlister(CATALOG, WordEmbedder())
