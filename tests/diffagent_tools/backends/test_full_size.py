"""Files of the real sizes, with random weights, through the very path that a person's own files take."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffagent_tools.benchmarks.backend.random_weights import size_of, tensors_of, write_random
from tool_specs.families import FAMILIES

log = logging.getLogger(__name__)


def _free_memory() -> int:
    """Bytes that a new process may use."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    pytest.skip("this system does not say how much memory is free")


@pytest.mark.slow
@pytest.mark.parametrize(("family", "gigabytes"), [("sd15", 2.13), ("sdxl", 6.94)])
def test_a_file_of_the_real_size_is_loaded_offline_and_draws(family: str, gigabytes: float, tmp_path: Path) -> None:
    """The file's tensors are those of the published checkpoints, in their layout and number."""
    tensors = tensors_of(family)
    size = size_of(tensors)
    assert size / 1e9 == pytest.approx(gigabytes, rel=0.01)
    if shutil.disk_usage(tmp_path).free < 1.5 * size:
        pytest.skip(f"{tmp_path} has no room for {1.5 * size / 1e9:.1f} GB")
    if _free_memory() < 3 * size:
        pytest.skip(f"not {3 * size / 1e9:.1f} GB of memory are free: the CPU draws in float32")
    path = tmp_path / "model.safetensors"
    try:
        write_random(path, tensors)
        done = subprocess.run(
            [sys.executable, "-m", "tests.full_size", family, path],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        path.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    log.info("%s, %.2f GB: %s", family, size / 1e9, told)
    assert told["width"] == FAMILIES[family].min_size
    assert told["colours"] > 9
    assert told["second"] < told["first"]
    assert told["peak"] < 2 * 2 * size
