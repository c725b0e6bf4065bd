"""The parts of the page that change, and how an entry is put into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import gradio as gr

from diffagent_tools.serving.page import markup
from diffagent_tools.serving.page.entries import Attempt, Entry
from diffagent_tools.serving.page.markup import Name

Updates = dict[Any, Any]
"""New values by component; the others stay as they are."""

_ENDS: Final = {
    "accepted": "Done: {reason}.",
    "best_effort": "Done: {reason}.",
    "stopped": "Stopped.",
    "nothing_fits": "Nothing fits.",
    "rejected": "Nothing was drawn.",
    "failed": "Nothing was drawn.",
    "error": "Nothing was drawn.",
}
_TROUBLE: Final = ("nothing_fits", "rejected", "failed", "error")


@dataclass(frozen=True, kw_only=True)
class Panels:
    """The components, and how models are called in them."""

    name: Name
    request: gr.Textbox
    stop: gr.Button
    status: gr.HTML
    alert: gr.HTML
    force: gr.Button
    cards: gr.HTML
    comparison: gr.HTML
    shortlist: gr.HTML
    call: gr.HTML
    past: gr.HTML
    forget: gr.Button
    form_box: gr.Group
    form_alert: gr.HTML
    note: gr.HTML
    entry: gr.State
    """The `Entry` that is shown."""
    ticked: gr.State
    """The attempts that are compared, of this entry and of others."""
    edited: gr.State
    """The call in the form as it was before anything was changed."""
    kept: gr.BrowserState
    """The history."""

    @property
    def outputs(self) -> list[Any]:
        """All components."""
        return [getattr(self, field.name) for field in fields(self) if field.name != "name"]

    def opened(self, entry: Entry, ticked: Sequence[Attempt]) -> Updates:
        """An entry in place of whatever was shown."""
        return {
            self.entry: entry,
            self.form_alert: "",
            self.shortlist: markup.shortlist(entry),
            self.call: markup.call(entry, self.name),
            self.cards: markup.cards(entry, ticked, self.name),
        }

    def told(self, entry: Entry, event: dict[str, Any], ticked: Sequence[Attempt]) -> Updates:
        """What an event changes; `entry` knows of it already."""
        n = event.get("attempt", event.get("n"))
        match event["event"]:
            case "shortlist":
                line = "Choosing a model and writing the call …"
                return {self.shortlist: markup.shortlist(entry), self.status: markup.status(entry, line)}
            case "call":
                return {
                    self.shortlist: markup.shortlist(entry),
                    self.call: markup.call(entry, self.name),
                    self.status: markup.status(entry, f"Drawing attempt {n} with {self._called(event['model'])} …"),
                }
            case "step":
                model = entry.asked.model if entry.asked and entry.asked.attempt == n else None
                line = f"Drawing attempt {n} with {self._called(model)} …" if model else f"Drawing attempt {n} …"
                return {self.status: markup.status(entry, line, step=event["step"], total=event["total"])}
            case "retry":
                return {self.status: markup.status(entry, f"Attempt {n} is drawn once more: {event['reason']} …")}
            case "attempt":
                return {
                    self.cards: markup.cards(entry, ticked, self.name),
                    self.status: markup.status(entry, f"Attempt {n}: {event['reason']}"),
                }
        return {}

    def ended(self, entry: Entry, ticked: Sequence[Attempt]) -> Updates:
        """How a request ended."""
        trouble = entry.status in _TROUBLE
        nearest = entry.nearest if entry.status == "nothing_fits" else ()
        line = _ENDS.get(entry.status, "").format(reason=entry.reason)
        return {
            self.entry: entry,
            self.stop: gr.update(interactive=False),
            self.status: markup.status(entry, line),
            self.alert: markup.alert(entry.reason if trouble else "", nearest=nearest),
            self.force: gr.update(visible=bool(nearest)),
            self.cards: markup.cards(entry, ticked, self.name),
        }

    def _called(self, model: str | None) -> str:
        return self.name(model) if model else "an unknown model"
