"""From a call to a stored picture, and to what a language model reads of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend, StepProgress
from diffagent_tools.tools.faults import told_to_the_model
from diffagent_tools.tools.results import ImageResult
from tool_specs.calls import Call
from tool_specs.infotext import infotext_of
from tool_specs.spec import ToolSpec


def draw(
    call: Call,
    specs: Sequence[ToolSpec],
    backend: Backend,
    store: ArtifactStore,
    cancel: threading.Event,
    *,
    on_step: Callable[[StepProgress], None] | None = None,
) -> tuple[str, ImageResult]:
    """Draw a call and store the picture.

    Args:
        call: What to draw.
        specs: Its checkpoint, and at least the networks that it names.
        backend: What draws.
        store: Where the picture goes.
        cancel: Set it from any thread to stop before the next step.
        on_step: Called after each step; see `Backend.draw`.

    Returns:
        Content and artifact of the tool message.

    Raises:
        ToolException: The call is wrong, or cannot be drawn here.
        ArtifactError: The picture cannot be stored.
        DrawingCancelled: `cancel` was set.
    """
    with told_to_the_model():
        drawing = backend.draw(call, on_step=on_step, cancel=cancel)
    names = {call.checkpoint, *(lora.id for lora in call.loras)}
    used = [spec for spec in specs if spec.id in names]
    reference = store.save(drawing.image, drawing.call, infotext=infotext_of(drawing.call, used))
    content = {
        "image": reference["sha256"],
        "path": reference["path"],
        "seed": drawing.call.seed,
        "size": f"{reference['width']}x{reference['height']}",
        "seconds": round(drawing.seconds, 2),
        "model": call.checkpoint,
    }
    result: ImageResult = {
        "type": "diffagent.image", "image": reference, "call": drawing.call.model_dump(mode="json"),
    }  # fmt: skip
    return json.dumps(content), result
