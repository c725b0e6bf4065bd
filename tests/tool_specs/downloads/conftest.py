from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.file_server import FileServer, Stored
from tests.tool_specs.conftest import SpecMaker
from tool_specs.spec import ModelFile, ToolSpec

CONTENT = save({"weights": np.random.default_rng(7).standard_normal(50_000, np.float32)})
"""A sound weights file of 200 kB."""

StoredSpec = Callable[..., ToolSpec]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def stored_spec(make_spec: SpecMaker, server: FileServer) -> StoredSpec:
    """Put content on the server, and make the spec of it; fields of its file may be wrong on purpose."""

    def make(content: bytes = CONTENT, **fields: object) -> ToolSpec:
        server.files["105"] = Stored(content)
        file = ModelFile.model_validate(
            {
                "id": 77,
                "name": "ink.safetensors",
                "type": "Model",
                "format": "SafeTensor",
                "size_kb": len(content) / 1024,
                "sha256": hashlib.sha256(content).hexdigest().upper(),
                "scan": "Success",
                "primary": True,
            }
            | fields
        )
        return make_spec(5, "LORA", "SD 1.5", files=(file,))

    return make


def names_in(folder: Path) -> list[str]:
    """What anybody can see below a folder, without hidden files."""
    return sorted(path.name for path in folder.rglob("[!.]*") if path.is_file())
