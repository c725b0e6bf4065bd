"""Backends for replicas with faults on demand: the prompt says which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image

from diffagent_tools.backends.diffusers_backend import DiffusersBackend
from diffagent_tools.backends.protocol import Drawing
from tool_specs.calls import Call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import BackendError, DownloadError, WeightsError

FAULTS: dict[str, Exception] = {
    "broken": BackendError("drawing failed: CUDA error"),
    "torn": WeightsError("torn.safetensors is damaged; download it again"),
    "early": DownloadError("early access", status=403, transient=True, wait=3.5),
    "bug": ZeroDivisionError("division by zero"),
}


class FaultyBackend(DiffusersBackend):
    """Draws, but for the prompts that name a fault."""

    def draw_batch(self, calls: Sequence[Call], **listeners: Any) -> list[Drawing]:
        for call in calls:
            if call.prompt in FAULTS:
                raise FAULTS[call.prompt]
        return super().draw_batch(calls, **listeners)


def faulty_backend(pictures: Callable[[str], Image]) -> DiffusersBackend:
    return FaultyBackend(Catalog.pocket(), pictures=pictures)
