"""What stands where on the page, and what happens when something is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.serving.page import markup
from diffagent_tools.serving.page.blocks import Page
from diffagent_tools.serving.page.call_form import CallForm
from diffagent_tools.serving.page.desk import Desk
from diffagent_tools.serving.page.edited_calls import CallDrawer
from diffagent_tools.serving.page.panels import Panels
from tool_specs.exceptions import CatalogError

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from diffagent_tools.backends.protocol import Backend
    from diffagent_tools.rewards.protocol import Reward
    from tool_specs.catalog import AnyCatalog

_WAITING: Final = 20
"""Requests that may wait for their turn; one is drawn at a time."""
_STORAGE: Final = "diffagent-history"

_ACTS: Final = """
const acts = ["compare", "edit", "open", "untick"];
element.addEventListener("click", event => {
  const pressed = event.target.closest("[data-act]");
  if (pressed && acts.includes(pressed.dataset.act)) trigger(pressed.dataset.act, {of: pressed.dataset.of});
});
watch("value", () => element.querySelectorAll("input[type=checkbox]").forEach(
  box => { box.checked = box.hasAttribute("checked"); }));
"""
"""Passes on presses of buttons and boxes. An updated page keeps its boxes, so they are set to what it says."""


_TO_FORM: Final = """() => {
  const look = tries => {
    const field = document.querySelector("#edit-prompt textarea");
    if (field) field.focus(); else if (tries) setTimeout(look, 50, tries - 1);
  };
  look(40);
}"""
"""The form is there a moment after it was made visible."""
_TO_TOP: Final = "() => { document.querySelector('#request')?.scrollIntoView({block: 'center'}); }"
_TO_LAST_CARD: Final = """() => {
  if (document.querySelector("#edit-alert .problem")) return;
  document.querySelector("#cards .card:last-child")?.scrollIntoView({block: "nearest"});
}"""


def _role(name: str) -> str:
    return f'element.setAttribute("role", "{name}");'


def _html(value: str = "", *, elem_id: str, on_load: str | None = None) -> gr.HTML:
    return gr.HTML(value, elem_id=elem_id, js_on_load=on_load, apply_default_css=False)


def laid_out(
    agent: Runnable[Any, Any], *, catalog: AnyCatalog, backend: Backend, reward: Reward, store: ArtifactStore
) -> Page:
    """See `build_page`."""

    def name(spec_id: str) -> str:
        try:
            return catalog.get(spec_id).model_name
        except CatalogError:
            return spec_id

    with Page(store) as page:
        gr.HTML("<h1>DiffAgent</h1><p>Say what picture you want. It finds the model that draws it best, writes the "
                "call, draws, judges, and tries again.</p>", elem_id="head", apply_default_css=False)  # fmt: skip
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=3, min_width=320, elem_id="work"):
                request = gr.Textbox(
                    label="What should the picture show?",
                    placeholder="a fox in pixel art on a blue background",
                    lines=1,
                    max_lines=6,
                    max_length=2000,
                    autofocus=True,
                    elem_id="request",
                )
                with gr.Row(elem_id="buttons"):
                    draw = gr.Button("Draw", variant="primary", elem_id="draw", min_width=120)
                    stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="stop", min_width=90, scale=0)
                status = _html(elem_id="status", on_load=_role("status"))
                alert = _html(elem_id="alert", on_load=_role("alert"))
                force = gr.Button("Draw with the nearest anyway", visible=False, elem_id="force")
                cards = _html(elem_id="cards", on_load=_ACTS)
                comparison = _html(elem_id="comparison", on_load=_ACTS)
                with gr.Group(visible=False, elem_classes="edit-form") as form_box:
                    note = _html(elem_id="edit-note")
                    form = CallForm(catalog)
                    form_alert = _html(elem_id="edit-alert", on_load=_role("alert"))
            with gr.Column(scale=2, min_width=300, elem_id="side"):
                gr.HTML("<h2>Shortlist</h2>", apply_default_css=False, elem_classes="heading")
                shortlist = _html(markup.shortlist(None), elem_id="shortlist")
                gr.HTML("<h2>Call</h2>", apply_default_css=False, elem_classes="heading")
                call = _html(markup.call(None, str), elem_id="call")
                gr.HTML("<h2>History</h2>", apply_default_css=False, elem_classes="heading")
                past = _html(markup.history((), None, str), elem_id="history", on_load=_ACTS)
                forget = gr.Button("Forget all", size="sm", visible=False, elem_id="forget")

        entry, ticked, edited = gr.State(None), gr.State([]), gr.State(None)
        # In the browser: each person sees their own requests, a reload or another server changes nothing, and the
        # server keeps no record of who asked for what. Its key only tells our entry from another program's.
        kept = gr.BrowserState([], storage_key=_STORAGE, secret=_STORAGE)

        panels = Panels(
            name=name,
            request=request,
            stop=stop,
            status=status,
            alert=alert,
            force=force,
            cards=cards,
            comparison=comparison,
            shortlist=shortlist,
            call=call,
            past=past,
            forget=forget,
            form_box=form_box,
            form_alert=form_alert,
            note=note,
            entry=entry,
            ticked=ticked,
            edited=edited,
            kept=kept,
        )
        drawer = CallDrawer(catalog=catalog, backend=backend, reward=reward, store=store)
        desk = Desk(agent, drawer=drawer, form=form, panels=panels)

        private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        drawing = {**private, "concurrency_id": "drawing", "concurrency_limit": 1, "trigger_mode": "once"}
        quick = {**private, "queue": False}
        shown, compared = panels.outputs, [cards, comparison, ticked]

        gr.on([draw.click, request.submit], desk.draw, [request, kept, ticked], shown, **drawing)
        force.click(desk.force_draw, [entry, kept, ticked], shown, **drawing)
        form.button.click(desk.redraw, [entry, kept, ticked, edited, *form.fields], shown, **drawing).then(
            None, js=_TO_LAST_CARD, **private
        )
        stop.click(desk.stop_drawing, None, [stop], **quick)
        cards.compare(desk.compare, [entry, ticked], compared, **quick)
        comparison.untick(desk.untick, [entry], compared, **quick)
        cards.edit(desk.edit, [entry], [form_box, form_alert, note, edited, *form.fields], **quick).then(
            None, js=_TO_FORM, **private
        )
        past.open(desk.open, [kept, ticked], shown, **quick).then(None, js=_TO_TOP, **private)
        forget.click(desk.forget_all, None, [kept], **quick)
        gr.on([page.load, kept.change], desk.remembered, [entry, kept], [past, forget], **quick)
        page.unload(desk.left)
        page.queue(max_size=_WAITING)
    return page
