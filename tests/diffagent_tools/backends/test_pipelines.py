from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffagent_tools.backends.pipelines import first_line, load_pipeline, out_of_memory
from tests.tiny_world import Shelf
from tool_specs.exceptions import WeightsError


def test_running_out_of_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(failure.value)
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n  shapes differ:\n 3"), "shapes differ:"),
        (KeyError(), "KeyError"),
        (RuntimeError("x" * 900), "x" * 200),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("base_model", "reason"),
    [
        ("SD 3.5 Large", "could not be loaded as a sd35 checkpoint"),
        ("SD 3.5 Medium", r"holds a sd35-large checkpoint, but civitai:1@101 is SD 3\.5 Medium \(sd35-medium\)"),
        ("Flux.1 D", r"holds a sd35-large checkpoint, but civitai:1@101 is Flux\.1 D \(flux1\)"),
    ],
)
def test_a_file_is_held_against_its_label(tmp_path: Path, base_model: str, reason: str) -> None:
    blocks = {f"joint_blocks.{n}.x_block.attn.qkv.weight": torch.zeros(1, 1) for n in range(38)}
    save_file(blocks, tmp_path / "model.safetensors")
    (tmp_path / "model_index.json").write_text("{}")
    shelf = Shelf()
    shelf.put(1, "Checkpoint", tmp_path / "model.safetensors", base_model=base_model)
    with pytest.raises(WeightsError, match=reason):
        load_pipeline(
            shelf.catalog.get("civitai:1@101"),
            tmp_path / "model.safetensors",
            config=tmp_path,
            device=torch.device("cpu"),
            dtype=torch.float32,
        )
