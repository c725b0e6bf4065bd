from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diffagent_tools.serving.api.app import create_app
from graphs.context import DiffAgentContext
from graphs.workshop import Workshop
from tests import waiting
from tests.diffagent_tools.serving.api.running import Running, paper_server, running
from tests.graphs.paper_world import PaperBackend
from tool_specs.pocket import POCKET_DIR


@pytest.fixture(scope="package")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole pocket world behind a server: search, planner, networks, reward."""
    if not (POCKET_DIR / "records").is_dir():
        pytest.skip("the pocket world is not in the package: make pocket-train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_HOME", str(tmp_path_factory.mktemp("home")))
        workshop = Workshop("retrieval")
        app = create_app(
            workshop.graph(),
            catalog=workshop.catalog,
            store=workshop.store,
            planner=workshop.planner,
            context_of=lambda cancel: DiffAgentContext(cancel=cancel),
        )
        with running(app, workshop.store) as server:
            yield server


@pytest.fixture
def backend(tmp_path: Path) -> PaperBackend:
    return PaperBackend(tmp_path / "drawn.log")


@pytest.fixture
def paper(tmp_path: Path, backend: PaperBackend) -> Iterator[Running]:
    """The paper world behind a server, whose backend a test may change."""
    with paper_server(tmp_path, backend) as server:
        yield server


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so."""
    return waiting.until
