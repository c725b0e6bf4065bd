from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL.Image import Image

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend, MemoryBudget
from diffagent_tools.embeddings import MiniLMEmbedder
from diffagent_tools.toolkit import DiffAgentToolkit
from tests.tiny_world import Shelf, TinyWorld, build_tiny_world
from tool_specs.catalog import Catalog
from tool_specs.search.shortlist import Shortlister
from tool_specs.spec import ModelFile

WEIGHTS = ModelFile(id=1, name="x.safetensors", type="Model", format="SafeTensor", size_kb=1)
"""A file that makes a spec usable."""


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("world"))


@dataclass(frozen=True)
class Studio:
    """A backend over the untrained world, with the ids of what it can draw with."""

    world: TinyWorld
    shelf: Shelf
    checkpoints: tuple[str, str]
    loras: tuple[str, str]
    embedding: str

    def backend(
        self,
        *,
        device: str = "cpu",
        pictures: Callable[[str], Image] | None = None,
        memory: MemoryBudget | None = None,
        compile_denoiser: bool = False,
    ) -> DiffusersBackend:
        """A backend that has loaded nothing yet."""
        return DiffusersBackend(
            self.shelf.catalog,
            device=device,
            files=self.shelf.file_of,
            configs={"pocket": self.world.config},
            pictures=pictures,
            memory=memory,
            compile_denoiser=compile_denoiser,
        )


def build_studio(world: TinyWorld) -> Studio:
    """Put the whole world on a shelf."""
    shelf = Shelf()
    return Studio(
        world,
        shelf,
        (shelf.put(1, "Checkpoint", world.checkpoints[0]), shelf.put(2, "Checkpoint", world.checkpoints[1])),
        (shelf.put(11, "LORA", world.loras[0]), shelf.put(12, "LoCon", world.loras[1])),
        shelf.put(21, "TextualInversion", world.embedding, trigger_words=("mintcolor",)),
    )


@pytest.fixture
def studio(tiny_world: TinyWorld) -> Studio:
    return build_studio(tiny_world)


@pytest.fixture(scope="module")
def shared_backend(tiny_world: TinyWorld) -> DiffusersBackend:
    """One backend for tests that only look at pictures."""
    return build_studio(tiny_world).backend()


@pytest.fixture
def copied_weights(tmp_path: Path, tiny_world: TinyWorld) -> Path:
    """A checkpoint file that a test may damage."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_world.checkpoints[0].read_bytes())
    return path


@pytest.fixture(scope="session")
def pocket_toolkit(embedder: MiniLMEmbedder, tmp_path_factory: pytest.TempPathFactory) -> DiffAgentToolkit:
    """The toolkit over the pocket world that ships, with a store of its own."""
    catalog = Catalog.pocket()
    return DiffAgentToolkit(
        catalog=catalog,
        backend=DiffusersBackend(catalog, device="cpu"),
        shortlister=Shortlister(catalog, embedder),
        store=ArtifactStore(tmp_path_factory.mktemp("artifacts")),
    )
