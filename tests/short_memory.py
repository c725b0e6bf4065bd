"""Draws a batch with less memory than it needs, and prints as JSON what was drawn and what was said.

`python -m tests.short_memory MEGABYTES` lets the process grow by so many megabytes once a picture has been drawn. It is
a process of its own because the limit holds for all of it.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
from pathlib import Path

import torch

from diffagent_tools.backends import DiffusersBackend
from tool_specs.calls import PocketCall
from tool_specs.catalog import Catalog
from tool_specs.exceptions import BackendError

BATCH = 8


def main() -> None:
    # oneDNN keeps what it could not compile for lack of memory, and fails with it ever after.
    torch.backends.mkldnn.enabled = False
    catalog = Catalog.pocket()
    checkpoint = next(spec.id for spec in catalog if spec.is_checkpoint)
    backend = DiffusersBackend(catalog, device="cpu")
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("diffagent_tools.backends.engine").addHandler(handler)

    def call(seed: int) -> PocketCall:
        return PocketCall(
            checkpoint=checkpoint, prompt="a fox", steps=1, sampler="Euler", width=128, height=128, seed=seed
        )

    backend.draw(call(0))
    size = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert size is not None
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(size[1]) * 1024 + int(sys.argv[1]) * 2**20, hard))
    failed = ""
    drawn = []
    try:
        drawn = backend.draw_batch([call(seed) for seed in range(BATCH)])
    except BackendError as error:
        failed = str(error)
    sys.stdout.write(json.dumps({"drawn": [one.call.seed for one in drawn], "said": said, "failed": failed}))


if __name__ == "__main__":
    main()
