"""Calls taken elsewhere: a diffusers script, a ComfyUI workflow, an A1111 infotext, Civitai's identifiers.

What cannot be said in the other program's words is an error, never a different call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.exports.a1111 import to_a1111
from tool_specs.exports.air import Air, air_of, parse_air, to_air
from tool_specs.exports.comfyui import to_comfyui_workflow
from tool_specs.exports.diffusers_script import to_diffusers_script

__all__ = [
    "EXPORTS",
    "Air",
    "ExportName",
    "air_of",
    "caveat",
    "parse_air",
    "to_a1111",
    "to_air",
    "to_comfyui_workflow",
    "to_diffusers_script",
]

ExportName = Literal["diffusers", "comfyui", "a1111", "air"]


def _comfyui_text(call: Call, catalog: AnyCatalog) -> str:
    return json.dumps(to_comfyui_workflow(call, catalog), indent=2, ensure_ascii=False)


def _air_text(call: Call, catalog: AnyCatalog) -> str:
    return "\n".join(to_air(call, catalog))


def _script_text(call: Call, catalog: AnyCatalog) -> str:
    return to_diffusers_script(call, catalog).removesuffix("\n")


EXPORTS: Final[Mapping[ExportName, Callable[[Call, AnyCatalog], str]]] = MappingProxyType(
    {"diffusers": _script_text, "comfyui": _comfyui_text, "a1111": to_a1111, "air": _air_text}
)
"""Name to what writes a call as text; each raises CallError where it cannot."""


def caveat(call: Call, name: ExportName) -> str:
    """What to know before an export is used, in one line; empty where there is nothing to know."""
    if name == "comfyui" and call.family == "pocket":
        return (
            "ComfyUI does not know the architecture of the pocket models: this workflow shows the form, it cannot run"
        )
    if name != "diffusers" and call.init_image is not None:
        return f"the picture {call.init_image}.png that the call begins from has to be taken along"
    return ""
