"""Calls that a person has changed: read from the form, drawn without a planner, judged like any other."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

from langchain_core.tools import ToolException

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend, StepProgress
from diffagent_tools.progress import Emit
from diffagent_tools.rewards.faults import find_fault
from diffagent_tools.rewards.protocol import Reward
from diffagent_tools.rewards.unified import reward_and_parts
from diffagent_tools.serving.page.entries import Attempt
from diffagent_tools.tools.drawing import draw
from tool_specs.calls import Call, parse_call, to_call, with_unplanned
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES
from tool_specs.validation import shown


def networks_text(loras: object) -> str:
    """The networks of a call in its JSON form, one per line: id and weight."""
    uses = loras if isinstance(loras, list) else []
    return "\n".join(f"{use['id']} {use['weight']:g}" for use in uses)


def edited_call(catalog: AnyCatalog, before: Mapping[str, Any], model: str, networks: str, **values: object) -> Call:
    """The call that stands in the form.

    Args:
        catalog: Where models are looked up.
        before: The call that was edited, in its JSON form; what planners do not write is kept.
        model: The checkpoint: spec id, model id or tool name.
        networks: One per line, each with its weight; without one, the recommended weight.
        values: The other parameters.

    Raises:
        CallError: A parameter is wrong; the message names it, its value and what is allowed.
        CatalogError: There is no such model or network.
    """
    spec = catalog.get(model)
    used = [_network(catalog, line) for line in networks.splitlines() if line.strip()]
    loras = [{"id": network.id, "weight": weight} for network, weight in used]
    try:
        call = to_call(spec, {**values, "loras": loras}, shortlist=[network for network, _ in used])
        return with_unplanned(call, before)
    except CallError as error:
        msg = str(error).removeprefix(f"{spec.tool_name}: ")
        raise CallError(msg) from error


def _network(catalog: AnyCatalog, line: str) -> tuple[Any, float]:
    """The network and the weight in a line of the form."""
    name, _, given = line.strip().partition(" ")
    spec = catalog.get(name)
    recommended = spec.recommended.weight
    if not given.strip():
        return spec, recommended.median if recommended else 1.0
    try:
        weight = float(given)
    except ValueError:
        weight = math.nan
    if not -2 <= weight <= 2:
        msg = f"networks: the weight {shown(given.strip())} of {spec.id} is not a number from -2 to 2"
        raise CallError(msg)
    return spec, weight


class CallDrawer:
    """Draws calls and judges them, without the agent."""

    def __init__(self, *, catalog: AnyCatalog, backend: Backend, reward: Reward, store: ArtifactStore) -> None:
        """Look models up in `catalog`, draw with `backend`, judge by `reward`, keep pictures in `store`."""
        self._catalog = catalog
        self._backend = backend
        self._reward = reward
        self._store = store

    def draw(self, call: Call, request: str, n: int, *, cancel: threading.Event, emit: Emit) -> Attempt:
        """Draw a call as attempt `n` of a request; its steps go to `emit` as the agent's do.

        Raises:
            DrawingCancelled: `cancel` was set.
            ArtifactError: The picture cannot be stored.
        """
        started = monotonic()

        def report(progress: StepProgress) -> None:
            emit({"event": "step", "attempt": n, "step": progress.step, "total": progress.total})

        specs = [self._catalog.get(spec_id) for spec_id in (call.checkpoint, *(use.id for use in call.loras))]
        about: dict[str, Any] = {"n": n, "model": call.checkpoint}
        try:
            _, result = draw(call, specs, self._backend, self._store, cancel, on_step=report)
        except ToolException as error:
            about |= {"call": None, "reward": None, "verdict": "fault", "reason": str(error)}
            return Attempt(**about, seconds=monotonic() - started)
        drawn, image = parse_call(result["call"]), self._store.open(result["image"])
        # As the agent judges: a model with a closed vocabulary knows the words of the call and no others.
        text = drawn.prompt if FAMILIES[drawn.family].closed_vocabulary else request
        reward, _ = reward_and_parts(self._reward, image, text)
        fault = find_fault(image, width=drawn.width, height=drawn.height)
        about |= {"call": result["call"], "picture": result["image"], "reward": round(reward, 4)}
        about |= {"verdict": "fault" if fault else "edited", "reason": fault or "drawn from the call as you changed it"}
        return Attempt(**about, seconds=monotonic() - started)
