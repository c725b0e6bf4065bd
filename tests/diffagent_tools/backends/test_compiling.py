from __future__ import annotations

import shutil

import numpy as np
import pytest
from torch._dynamo.utils import counters

from tests.diffagent_tools.conftest import Studio
from tests.tiny_world import tiny_call
from tool_specs.calls import Call, LoraUse


def compiled_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_denoiser_draws_the_same_pictures(studio: Studio) -> None:
    compiled, plain = studio.backend(compile_denoiser=True), studio.backend()
    before = compiled_graphs()

    def difference(call: Call) -> int:
        one, other = (np.asarray(backend.draw(call).image, dtype=int) for backend in (compiled, plain))
        return int(np.abs(one - other).max())

    assert difference(tiny_call()) <= 2
    graphs = compiled_graphs()
    assert graphs > before
    assert difference(tiny_call(seed=9)) <= 2
    assert compiled_graphs() == graphs, "the same shapes are not compiled again"
    lora, other_lora = (LoraUse(id=name, weight=0.7) for name in studio.loras)
    for loras in ((lora,), (other_lora,), (lora, other_lora), ()):
        assert difference(tiny_call(loras=loras)) <= 2
