"""What happens on the page: requests are drawn, calls are edited, pictures compared, old requests opened."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import gradio as gr
from langchain_core.runnables import Runnable

from diffagent_tools.progress import Emit
from diffagent_tools.serving.page import markup
from diffagent_tools.serving.page.call_form import CallForm
from diffagent_tools.serving.page.edited_calls import CallDrawer
from diffagent_tools.serving.page.entries import Attempt, Entry, read, with_entry, written
from diffagent_tools.serving.page.panels import Panels, Updates
from diffagent_tools.serving.page.sessions import Sessions, Work
from tool_specs.exceptions import CallError, CatalogError, DiffAgentError, DrawingCancelled

logger = logging.getLogger(__name__)

MAX_TICKED: Final = 6
"""Pictures side by side."""
_UNEXPECTED: Final = "Something went wrong that should not: {kind}. The server's log says more; try again."
_BUSY: Final = "A picture is being drawn: wait for it or stop it, then open another request."


class Desk:
    """The handlers of the page's events; what they return names the components that change."""

    def __init__(self, agent: Runnable[Any, Any], *, drawer: CallDrawer, form: CallForm, panels: Panels) -> None:
        """Plan and draw with `agent`, draw edited calls of `form` with `drawer`, show all of it in `panels`."""
        self._agent = agent
        self._drawer = drawer
        self._form = form
        self._panels = panels
        self._sessions = Sessions()

    async def draw(self, text: str, kept: object, ticked: list[Attempt], client: gr.Request) -> AsyncIterator[Updates]:
        """Draw a new request."""
        async for updates in self._agents(text, {}, kept, ticked, client):
            yield updates

    async def force_draw(
        self, before: Entry, kept: object, ticked: list[Attempt], client: gr.Request
    ) -> AsyncIterator[Updates]:
        """Draw a request again with the nearest models, although nothing fits."""
        async for updates in self._agents(before.request, {"force": True}, kept, ticked, client):
            yield updates

    async def redraw(
        self,
        entry: Entry,
        kept: object,
        ticked: list[Attempt],
        edited: Mapping[str, Any],
        client: gr.Request,
        *values: Any,
    ) -> AsyncIterator[Updates]:
        """Draw what stands in the form, as one more attempt of the request."""
        panels, before = self._panels, entry
        try:
            call = self._form.read(edited, *values)
        except (CallError, CatalogError) as error:
            yield {panels.form_alert: markup.alert(str(error))}
            return
        n = max((attempt.n for attempt in entry.attempts), default=0) + 1

        async def work(stop: threading.Event, emit: Emit) -> None:
            attempt = await asyncio.to_thread(self._drawer.draw, call, entry.request, n, cancel=stop, emit=emit)
            emit({"event": "attempt", **attempt.model_dump()})

        entry = entry.changed(status="running")
        yield self._begun(entry, ticked, f"Drawing attempt {n} from your call …")
        async for now, updates in self._worked(entry, work, kept, ticked, client):
            entry = now
            yield updates
        problem = "" if entry.is_running else entry.reason
        if (drawn := entry.attempt(n)) is not None and drawn.picture is None:
            problem = drawn.reason
        line = f"Attempt {n}: {drawn.reason}" if drawn else "Stopped." if entry.status == "stopped" else ""
        entry = entry.changed(status=before.status, reason=before.reason)
        yield {
            **panels.ended(entry, ticked),
            panels.status: markup.status(entry, line),
            panels.alert: "",
            panels.form_alert: markup.alert(problem if line != "Stopped." else ""),
        }

    def stop_drawing(self, client: gr.Request) -> Updates:
        """Stop what this page has under way."""
        self._sessions.stop(str(client.session_hash))
        return {self._panels.stop: gr.update(interactive=False)}

    def left(self, client: gr.Request) -> None:
        """Stop what a page had under way that was closed."""
        self._sessions.stop(str(client.session_hash))

    def compare(self, entry: Entry, ticked: list[Attempt], pressed: gr.EventData) -> Updates:
        """Put a picture beside the others, or take it away."""
        attempt = entry.attempt(getattr(pressed, "of", None))
        if attempt is not None and attempt.picture is not None:
            left = [one for one in ticked if one.picture != attempt.picture]
            ticked = left if len(left) < len(ticked) else [*ticked, attempt][-MAX_TICKED:]
        return self._compared(entry, ticked)

    def untick(self, entry: Entry) -> Updates:
        """Compare nothing any more."""
        return self._compared(entry, [])

    def edit(self, entry: Entry, pressed: gr.EventData) -> Updates:
        """Put the call of an attempt into the form."""
        panels, attempt = self._panels, entry.attempt(getattr(pressed, "of", None))
        if attempt is None or attempt.call is None:
            return {panels.form_alert: ""}
        return {
            panels.form_box: gr.update(visible=True),
            panels.form_alert: "",
            panels.note: markup.note(attempt),
            panels.edited: attempt.call,
            **self._form.filled(attempt.call, entry),
        }

    def open(self, kept: object, ticked: list[Attempt], pressed: gr.EventData, client: gr.Request) -> Updates:
        """Show an old request."""
        panels = self._panels
        if self._sessions.is_busy(str(client.session_hash)):
            return {panels.alert: markup.alert(_BUSY)}
        key = getattr(pressed, "of", None)
        entry = next((one for one in read(kept) if one.key == key), None)
        if entry is None:
            return {panels.alert: markup.alert("That request is not in this browser's history any more.")}
        return {
            **panels.opened(entry, ticked),
            **panels.ended(entry, ticked),
            panels.request: entry.request,
            panels.form_box: gr.update(visible=False),
            panels.past: markup.history(read(kept), entry.key, panels.name),
        }

    def forget_all(self) -> Updates:
        """Empty the history; the pictures stay in the store."""
        return {self._panels.kept: []}

    def remembered(self, entry: Entry | None, kept: object) -> Updates:
        """Show the history that the browser keeps."""
        panels, past = self._panels, read(kept)
        return {
            panels.past: markup.history(past, entry.key if entry else None, panels.name),
            panels.forget: gr.update(visible=bool(past)),
        }

    async def _agents(
        self, text: str, options: Mapping[str, object], kept: object, ticked: list[Attempt], client: gr.Request
    ) -> AsyncIterator[Updates]:
        """A request as the agent draws it."""

        async def work(stop: threading.Event, emit: Emit) -> None:
            given = {"request": text, "options": dict(options)}
            async for event in self._agent.astream(given, context={"cancel": stop}, stream_mode="custom"):
                emit(event)

        entry = Entry(request=text.strip())
        begun = self._begun(entry, ticked, "Looking for models …")
        yield {**begun, self._panels.form_box: gr.update(visible=False)}
        async for now, updates in self._worked(entry, work, kept, ticked, client):
            entry = now
            yield updates
        yield self._panels.ended(entry, ticked)

    async def _worked(
        self, entry: Entry, work: Work, kept: object, ticked: list[Attempt], client: gr.Request
    ) -> AsyncIterator[tuple[Entry, Updates]]:
        """The entry and what changes on the page, each time that something came of the work."""
        panels = self._panels
        try:
            async for events in self._sessions.watched(str(client.session_hash), work):
                updates: Updates = {}
                for event in events:
                    entry = entry.after(event)
                    updates |= panels.told(entry, event, ticked)
                if entry.is_kept and any(event["event"] != "step" for event in events):
                    updates[panels.kept] = written(with_entry(read(kept), entry))
                yield entry, {**updates, panels.entry: entry}
        except DrawingCancelled:
            entry = entry.changed(status="stopped")
        except DiffAgentError as error:
            entry = entry.changed(status="error", reason=_sentence(error))
        except Exception as error:
            logger.exception("a request on the page failed")
            entry = entry.changed(status="error", reason=_UNEXPECTED.format(kind=type(error).__name__))
        if not entry.is_running:
            kept_now = {panels.kept: written(with_entry(read(kept), entry))} if entry.is_kept else {}
            yield entry, {**kept_now, panels.entry: entry}

    def _begun(self, entry: Entry, ticked: Sequence[Attempt], line: str) -> Updates:
        panels = self._panels
        return {
            **panels.opened(entry, ticked),
            panels.status: markup.status(entry, line),
            panels.alert: "",
            panels.force: gr.update(visible=False),
            panels.stop: gr.update(interactive=True),
        }

    def _compared(self, entry: Entry, ticked: list[Attempt]) -> Updates:
        panels = self._panels
        return {
            panels.ticked: ticked,
            panels.cards: markup.cards(entry, ticked, panels.name),
            panels.comparison: markup.comparison(ticked, panels.name),
        }


def _sentence(error: Exception) -> str:
    """An error's message as it stands on the page."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
