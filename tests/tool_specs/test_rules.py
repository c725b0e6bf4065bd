from __future__ import annotations

import pytest

from tests.tool_specs.conftest import SpecMaker
from tool_specs.rules import Rules
from tool_specs.spec import ModelFile

SAFE = ModelFile(id=1, name="x.safetensors", type="Model", format="SafeTensor", size_kb=1)
PICKLE = ModelFile(id=1, name="x.ckpt", type="Model", format="PickleTensor", size_kb=1)
PENDING = SAFE.model_copy(update={"scan": "Danger"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"files": (SAFE,)}, ""),
        ({"files": (SAFE,), "content_rating": "explicit"}, "its content is rated explicit"),
        ({"files": (SAFE,), "availability": "EarlyAccess"}, "its availability is EarlyAccess"),
        ({"files": (SAFE,), "availability": "Archived"}, "its files cannot be had any more (Archived)"),
        ({"files": (), "availability": "TakenDown"}, "its files cannot be had any more (TakenDown)"),
        ({"files": (PICKLE,)}, "its weights are no scanned safetensors file"),
        ({"files": (PENDING,)}, "its weights are no scanned safetensors file"),
        ({"files": ()}, "it has no weights file"),
        ({"files": (SAFE,), "type": "VAE"}, "a VAE draws nothing by itself"),
        (
            {"files": (SAFE,), "family": "other", "base_model": "Sora {2}"},
            "its base model 'Sora {2}' cannot be drawn here",
        ),
    ],
)
def test_what_speaks_against_a_spec(make_spec: SpecMaker, fields: dict[str, object], reason: str) -> None:
    assert Rules().reason_against(make_spec(**fields)) == reason


def test_rules_can_be_widened(make_spec: SpecMaker) -> None:
    spec = make_spec(files=(SAFE,), content_rating="mature", availability="EarlyAccess")
    assert Rules(ratings=("safe", "mature"), availabilities=("Public", "EarlyAccess")).reason_against(spec) == ""
