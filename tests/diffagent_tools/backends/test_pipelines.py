from __future__ import annotations

import pytest
import torch

from diffagent_tools.backends.pipelines import first_line, out_of_memory


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
