"""One LangChain tool for each image model: its arguments are a call, its answer is a reference to a picture."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Sequence
from typing import Any, Literal, Self

from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import BaseModel, Field, ValidationError

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from tool_specs.calls import Call, arguments_model, to_call
from tool_specs.compatibility import compatible
from tool_specs.exceptions import BackendError, CallError
from tool_specs.infotext import spec_hashes, spec_names, to_infotext
from tool_specs.naming import tool_name
from tool_specs.search.shortlist import Hit, Shortlist
from tool_specs.spec import ToolSpec
from tool_specs.validation import one_line

MAX_DESCRIPTION = 600
"""Characters of a tool's description; with eight tools bound it is read eight times in every request."""
_MAX_TAGS = 300
_MAX_WHY = 240
_LABEL = re.compile(r"\b(?:Recommended:|For this request:|Network (?=\w+:)|Tags:|Its author says:)")
"""What begins a part of a description; in a stranger's words it would fake one."""
_BRACKETS = str.maketrans("<>[]", "‹›()")
"""Of what language models take for marks of their own, such as `<|im_end|>` and `[INST]`."""


class GenerationTool(BaseTool):
    """Draws with one checkpoint, and with the networks on offer that load into it.

    What the model that calls it can put right (a wrong argument, a checkpoint that cannot be drawn with) comes back as
    a tool message with status "error". A full disk, a stopped drawing and the like are raised.

    ```python
    tool = GenerationTool.of(spec, networks, backend, store)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    message.artifact["path"]
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
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"

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
            handle_tool_error=True,
            handle_validation_error=_invalid,
        )

    @property
    def tool_call_schema(self) -> type[BaseModel]:
        """What a language model reads; LangChain's own copy of the arguments would allow others beside them."""
        return arguments_model(self.spec, self.networks)

    def _run(self, **arguments: object) -> tuple[str, dict[str, Any]]:
        return self._draw(self._call(arguments), threading.Event())

    async def _arun(self, **arguments: object) -> tuple[str, dict[str, Any]]:
        """The same in a thread; when the task is cancelled the drawing stops before its next step."""
        call, cancel = self._call(arguments), threading.Event()
        try:
            return await asyncio.to_thread(self._draw, call, cancel)
        except asyncio.CancelledError:
            cancel.set()
            raise

    def _call(self, arguments: dict[str, object]) -> Call:
        given = {name: _plain(value) for name, value in arguments.items()}
        try:
            return to_call(self.spec, given, shortlist=self.networks)
        except CallError as error:
            raise ToolException(str(error)) from error

    def _draw(self, call: Call, cancel: threading.Event) -> tuple[str, dict[str, Any]]:
        try:
            drawing = self.backend.draw(call, cancel=cancel)
        except (CallError, BackendError) as error:
            raise ToolException(str(error)) from error
        used = [self.spec, *(spec for spec in self.networks if spec.id in {lora.id for lora in call.loras})]
        infotext = to_infotext(
            drawing.call,
            names=spec_names(used),
            hashes=spec_hashes(used),
            embeddings=[spec.id for spec in used if spec.type == "TextualInversion"],
        )
        reference = self.store.save(drawing.image, drawing.call, infotext=infotext)
        content = {
            "image": reference["sha256"],
            "path": reference["path"],
            "seed": drawing.call.seed,
            "size": f"{reference['width']}x{reference['height']}",
            "seconds": round(drawing.seconds, 2),
            "model": self.spec.id,
        }
        return json.dumps(content), {**reference, "call": drawing.call.model_dump(mode="json")}


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
    networks = [network.spec for network in shortlist.networks]
    schemas = []
    for name, hit in _named(shortlist).items():
        why = _why(hit, shortlist)
        function = convert_to_openai_function(arguments_model(hit.spec, networks))
        schemas.append(
            {"type": "function", "function": {**function, "name": name, "description": description_of(hit.spec, why)}}
        )
    return schemas


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
    reasons = [f"{_harmless('; '.join(hit.why))}."] if hit.why else []
    reasons += [
        f"Network {network.spec.id}: {_harmless('; '.join(network.why))}."
        for network in shortlist.networks
        if network.why and compatible(network.spec, hit.spec).ok
    ]
    return " ".join(reasons)


def description_of(spec: ToolSpec, why: str = "") -> str:
    """What a language model reads about a checkpoint, at most `MAX_DESCRIPTION` characters.

    Names, tags and description are a stranger's words: they are quoted, and stand as data. Each label ("Tags:", …)
    stands once at most, where this function puts it.

    Args:
        spec: The checkpoint.
        why: What retrieval says of it and the request at hand.
    """
    learned = spec.recommended
    name = _quoted(spec.model_name, 80)
    text = (
        f"Draws pictures with the image model {name} ({spec.base_model}, {spec.id}). Recommended: {learned.sampler}, "
        f"{learned.steps.median:.0f} steps, cfg scale {learned.cfg_scale.median:g}, {learned.width}x{learned.height}."
    )
    if why:
        text += f" For this request: {' '.join(why.split())[:_MAX_WHY]}"
    if spec.tags:
        text += f" Tags: {_quoted(', '.join(spec.tags), _MAX_TAGS)}."
    room = MAX_DESCRIPTION - len(text) - len(" Its author says: .")
    if spec.description and room > 40:
        text += f" Its author says: {_quoted(spec.description, room)}."
    return text[:MAX_DESCRIPTION]


def _quoted(text: str, limit: int) -> str:
    """A stranger's words between quotes, on one line, at most `limit` characters with the quotes."""
    line = _harmless(text).replace('"', "'")
    return f'"{line}"' if len(line) + 2 <= limit else f'"{line[: limit - 3].rstrip()}…"'


def _harmless(text: str) -> str:
    """A stranger's words on one line, without what is read as a label or as a mark."""
    line = " ".join(text.translate(_BRACKETS).split())
    return _LABEL.sub(lambda label: label[0][0].lower() + label[0][1:], line)


def _plain(value: object) -> object:
    """Arguments as LangChain passes them hold Pydantic objects; a call is made of plain values."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _invalid(error: ValidationError | object) -> str:
    return f"the arguments are not valid: {one_line(error) if isinstance(error, ValidationError) else error}"
