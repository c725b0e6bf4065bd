from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tool_specs.civitai.recommended import recommended_of
from tool_specs.families import family_of
from tool_specs.spec import ToolSpec

# A busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

SpecMaker = Callable[..., ToolSpec]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real Civitai records, which is not part of the repository."""
    shared = Path(os.environ.get("DIFFAGENT_SHARED") or ROOT.parent / "shared")
    if not (shared / "data").is_dir():
        pytest.skip(f"no real data at {shared}/data: set DIFFAGENT_SHARED to the folder that holds it")
    return shared / "data"


@pytest.fixture(scope="session")
def real_records(shared_data: Path) -> list[dict[str, object]]:
    """Every model object of the two crawls."""

    def rows() -> Iterator[dict[str, object]]:
        with gzip.open(shared_data / "api" / "models-dump.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
        yield from json.loads((shared_data / "api" / "models-varied.json").read_text(encoding="utf-8"))

    return list(rows())


@pytest.fixture
def make_spec() -> SpecMaker:
    """Make a spec: `make_spec(9001, "LORA", "Pocket", name="Pixels")`."""

    def make(
        model_id: int = 9001,
        model_type: str = "Checkpoint",
        base_model: str = "Pocket",
        *,
        name: str = "",
        **fields: object,
    ) -> ToolSpec:
        values: dict[str, object] = {
            "id": f"civitai:{model_id}@{model_id + 100}",
            "model_id": model_id,
            "version_id": model_id + 100,
            "model_name": name or f"Model {model_id}",
            "version_name": "v1",
            "type": model_type,
            "base_model": base_model,
            "family": family_of(base_model).name,
            "recommended": recommended_of(base_model, [], model_type=model_type),
        }
        return ToolSpec.model_validate(values | fields)

    return make
