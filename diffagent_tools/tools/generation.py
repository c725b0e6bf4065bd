"""One LangChain tool for each image model: its arguments are a call, its answer is a reference to a picture."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import BaseModel, Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from diffagent_tools.tools.descriptions import description_of, harmless
from diffagent_tools.tools.drawing import draw
from diffagent_tools.tools.faults import ActionableTool, told_to_the_model
from diffagent_tools.tools.results import ImageResult
from tool_specs.calls import Arguments, Call, arguments_model, to_call, with_trigger_words_of_loras
from tool_specs.compatibility import compatible
from tool_specs.naming import tool_name
from tool_specs.search.shortlist import Hit, Shortlist
from tool_specs.spec import ToolSpec


class GenerationTool(ActionableTool):
    """Draws with one checkpoint, and with the networks on offer that load into it.

    What the model that calls it can put right (a wrong argument, a checkpoint that cannot be drawn with) comes back as
    a tool message with status "error". A full disk, a stopped drawing and the like are raised.

    ```python
    tool = GenerationTool.of(spec, networks, backend, store)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    message.artifact["image"]["path"]
    ```
    """

    spec: ToolSpec = Field(exclude=True, repr=False)
    """The checkpoint."""
    networks: tuple[ToolSpec, ...] = Field(default=(), exclude=True, repr=False)
    """Networks on offer."""
    backend: Backend = Field(exclude=True, repr=False)
    """What draws."""
    store: ArtifactStore = Field(exclude=True, repr=False)
    """Where pictures are kept."""

    @classmethod
    def of(
        cls,
        spec: ToolSpec,
        networks: Sequence[ToolSpec],
        backend: Backend,
        store: ArtifactStore,
        *,
        name: str | None = None,
        why: str = "",
    ) -> Self:
        """The tool of one checkpoint.

        Args:
            spec: The checkpoint.
            networks: Networks on offer; those that do not load into it are not offered.
            backend: What draws.
            store: Where pictures are kept.
            name: Instead of the spec's tool name, where two versions of one model stand side by side.
            why: What retrieval says of it and the request at hand.

        Raises:
            CallError: `spec` is no checkpoint, or cannot be drawn here.
        """
        return cls(
            name=name or spec.tool_name,
            description=description_of(spec, why),
            args_schema=arguments_model(spec, networks),
            spec=spec,
            networks=tuple(network for network in networks if network.is_network),
            backend=backend,
            store=store,
        )

    @property
    def tool_call_schema(self) -> type[BaseModel]:
        """What a language model reads; LangChain's own copy of the arguments would allow others beside them."""
        return arguments_model(self.spec, self.networks)

    def _run(self, **arguments: object) -> tuple[str, ImageResult]:
        return self._draw(self._call(arguments), threading.Event())

    async def _arun(self, **arguments: object) -> tuple[str, ImageResult]:
        """The same in a thread; when the task is cancelled the drawing stops before its next step."""
        call, cancel = self._call(arguments), threading.Event()
        try:
            return await asyncio.to_thread(self._draw, call, cancel)
        except asyncio.CancelledError:
            cancel.set()
            raise

    def _call(self, arguments: dict[str, object]) -> Call:
        given = {name: plain(value) for name, value in arguments.items()}
        with told_to_the_model():
            return to_call(self.spec, with_trigger_words_of_loras(given, self.networks), shortlist=self.networks)

    def _draw(self, call: Call, cancel: threading.Event) -> tuple[str, ImageResult]:
        return draw(call, [self.spec, *self.networks], self.backend, self.store, cancel)


def tools_for(shortlist: Shortlist, backend: Backend, store: ArtifactStore) -> list[GenerationTool]:
    """One tool for each checkpoint of a shortlist, best first, each offering the shortlist's networks that fit it."""
    return [
        GenerationTool.of(
            hit.spec,
            [network.spec for network in shortlist.networks],
            backend,
            store,
            name=name,
            why=_why(hit, shortlist),
        )
        for name, hit in _named(shortlist).items()
    ]


def tool_schemas(shortlist: Shortlist) -> list[dict[str, Any]]:
    """What a language model reads of `tools_for`'s tools, as OpenAI tool descriptions, with nothing that draws."""
    loras: dict[tuple[str, ...], Any] = {}
    return [
        {"type": "function", "function": _function(name, hit, shortlist, loras)}
        for name, hit in _named(shortlist).items()
    ]


def _function(name: str, hit: Hit, shortlist: Shortlist, loras: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """The description of one tool.

    Making a model class and its schema is what takes time. That of a checkpoint without networks is made once, and that
    of the networks on offer once for all checkpoints that take them.

    Args:
        name: Of the tool.
        hit: The checkpoint.
        shortlist: Has the networks.
        loras: The schema of the field `loras` by family and networks; what is missing is added.
    """
    spec = hit.spec
    networks = [network.spec for network in shortlist.networks if compatible(network.spec, spec).ok]
    offer = (spec.family, *(network.id for network in networks))
    if offer not in loras:
        loras[offer] = convert_to_openai_function(arguments_model(spec, networks))["parameters"]["properties"]["loras"]
    function = _plain_function(arguments_model(spec))
    parameters = function["parameters"]
    properties = {**parameters["properties"], "loras": loras[offer]}
    return {
        **function,
        "name": name,
        "description": description_of(spec, _why(hit, shortlist)),
        "parameters": {**parameters, "properties": properties},
    }


@lru_cache(maxsize=256)
def _plain_function(arguments: type[Arguments]) -> dict[str, Any]:
    """The OpenAI description of a checkpoint's arguments without networks."""
    return dict(convert_to_openai_function(arguments))


def offered(shortlist: Shortlist) -> dict[str, ToolSpec]:
    """The checkpoint behind each tool of a shortlist, by the tool's name."""
    return {name: hit.spec for name, hit in _named(shortlist).items()}


def tool_names(shortlist: Shortlist) -> dict[str, str]:
    """The name of the tool of each checkpoint on a shortlist, by spec id."""
    return {hit.spec.id: name for name, hit in _named(shortlist).items()}


def _named(shortlist: Shortlist) -> dict[str, Hit]:
    """The checkpoints of a shortlist by tool name; of two versions of one model the second name says which."""
    named: dict[str, Hit] = {}
    for hit in shortlist.hits:
        spec, name = hit.spec, hit.spec.tool_name
        if name in named:
            name = tool_name(spec.type, spec.model_id, spec.version_id, spec.model_name, ambiguous=True)
        named[name] = hit
    return named


def _why(hit: Hit, shortlist: Shortlist) -> str:
    """Why retrieval offers a checkpoint, and which networks the request asked for."""
    reasons = [f"{harmless('; '.join(hit.why))}."] if hit.why else []
    reasons += [
        f"Network {network.spec.id}: {harmless('; '.join(network.why))}."
        for network in shortlist.networks
        if network.why and compatible(network.spec, hit.spec).ok
    ]
    return " ".join(reasons)


def plain(value: object) -> object:
    """Arguments as LangChain passes them hold Pydantic objects; a call is made of plain values."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
