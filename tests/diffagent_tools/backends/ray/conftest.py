from __future__ import annotations

import pytest

from diffagent_tools.backends.diffusers_backend import DiffusersBackend
from tool_specs.catalog import Catalog


@pytest.fixture(scope="module")
def local() -> DiffusersBackend:
    """What draws the same in this process."""
    return DiffusersBackend(Catalog.pocket())
