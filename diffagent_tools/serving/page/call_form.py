"""The form in which a person changes a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import gradio as gr

from diffagent_tools.serving.page.edited_calls import edited_call, networks_text
from diffagent_tools.serving.page.entries import Entry
from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.families import FAMILIES

_NUMBERS: Final = {
    "steps": "Steps",
    "cfg_scale": "CFG scale",
    "width": "Width",
    "height": "Height",
    "clip_skip": "Clip skip",
    "seed": "Seed",
}


class CallForm:
    """A field for each parameter of a call. Bounds are the call's own to check: here is only what people type.

    Attributes:
        fields: The components, in the order in which `read` takes their values.
        button: Draws what stands in the form.
    """

    def __init__(self, catalog: AnyCatalog) -> None:
        """Put the fields where the layout is now; models are looked up in `catalog`."""
        self._catalog = catalog
        self._model = gr.Dropdown(label="Model", allow_custom_value=True, elem_id="edit-model")
        self._texts = {
            "prompt": gr.Textbox(label="Prompt", lines=2, max_lines=8, elem_id="edit-prompt"),
            "negative_prompt": gr.Textbox(
                label="Negative prompt", lines=1, max_lines=4, elem_id="edit-negative_prompt"
            ),
        }
        self._networks = gr.Textbox(
            label="Networks, one per line with a weight", lines=1, max_lines=6, elem_id="edit-networks"
        )
        with gr.Row(elem_classes="numbers"):
            self._sampler = gr.Dropdown(label="Sampler", allow_custom_value=True, elem_id="edit-sampler", min_width=230)
            self._numbers = {
                name: gr.Number(
                    label=label, placeholder="new" if name == "seed" else None, elem_id=f"edit-{name}", min_width=90
                )
                for name, label in _NUMBERS.items()
            }
        self.button = gr.Button("Draw this call", variant="primary", elem_id="redraw")
        self.fields = [self._model, self._networks, self._sampler, *self._texts.values(), *self._numbers.values()]

    def filled(self, call: Mapping[str, Any], entry: Entry) -> dict[Any, Any]:
        """Updates that put a call into the fields.

        Args:
            call: In its JSON form.
            entry: The request it belongs to: its shortlist is what the form offers.
        """
        bounds = FAMILIES[call["family"]]
        models = [(f"{one.name} ({one.id})", one.id) for one in entry.models]
        if call["checkpoint"] not in [spec_id for _, spec_id in models]:
            models.insert(0, (call["checkpoint"], call["checkpoint"]))
        offered = ", ".join(f"{one.id} ({one.name})" for one in entry.networks)
        return {
            self._model: gr.update(choices=models, value=call["checkpoint"]),
            self._networks: gr.update(
                value=networks_text(call["loras"]),
                info=f"On offer: {offered}" if offered else "None was on offer for this request.",
                visible=bounds.max_loras > 0,
            ),
            self._sampler: gr.update(choices=list(bounds.samplers), value=call["sampler"]),
            **{field: gr.update(value=call[name]) for name, field in self._texts.items()},
            **{field: gr.update(value=call[name]) for name, field in self._numbers.items()},
        }

    def read(self, before: Mapping[str, Any], *values: Any) -> Call:
        """The call that stands in the fields.

        Args:
            before: The call that was put there, in its JSON form.
            values: Of `fields`.

        Raises:
            CallError: A parameter is wrong.
            CatalogError: There is no such model or network.
        """
        model, networks, sampler, *rest = values
        names = [*self._texts, *self._numbers]
        given = dict(zip(names, rest, strict=True))
        return edited_call(self._catalog, before, model or "", networks or "", sampler=sampler, **given)
