"""What the page shows, as HTML. Every text goes in through `Markup.format`, which escapes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from markupsafe import Markup
from pydantic import JsonValue

from diffagent_tools.serving.page.entries import Attempt, Entry, Offered, Picture

Name = Callable[[str], str]
"""From a spec id to what people call the model."""

NOTHING: Final = Markup("")
_SMALL: Final = 256
"""Pictures narrower than this, in pixels, are shown with sharp pixels instead of blurred ones."""
_SHOWN_MODELS: Final = 5
_LONGEST: Final = 2000
"""Characters of a parameter; a planner may write anything."""
_VERDICTS: Final = {
    "ok": "accepted",
    "poor": "below the threshold",
    "fault": "failed",
    "rejected": "rejected",
    "edited": "your call",
}
PARAMETERS: Final = {
    "checkpoint": "Model",
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "loras": "Networks",
    "sampler": "Sampler",
    "steps": "Steps",
    "cfg_scale": "CFG scale",
    "width": "Width",
    "height": "Height",
    "clip_skip": "Clip skip",
    "seed": "Seed",
    "denoising_strength": "Denoising strength",
}
"""The parameters of a call in the order people read them, with what they are called."""


def status(entry: Entry | None, line: str, *, step: int = 0, total: int = 0) -> Markup:
    """What is going on, in a sentence, with a bar while a picture is being drawn."""
    if not line:
        return NOTHING
    bar = (
        Markup('<progress max="{}" value="{}" aria-label="Steps"></progress><span class="count">{} / {}</span>').format(
            total, step, step, total
        )
        if total
        else Markup("<progress aria-label='Working'></progress>")
    )
    running = entry is not None and entry.is_running
    return Markup('<p class="line">{}</p>{}').format(
        line, Markup('<div class="bar">{}</div>').format(bar) if running else NOTHING
    )


def alert(message: str, *, nearest: Iterable[Offered] = ()) -> Markup:
    """What went wrong, and the models that come nearest to what was asked for."""
    if not message:
        return NOTHING
    models = [_model(one) for one in nearest]
    found = (
        Markup('<p>These come nearest:</p><ul class="models">{}</ul>').format(_joined(models)) if models else NOTHING
    )
    return Markup('<div class="problem"><p class="line">{}</p>{}</div>').format(message, found)


def shortlist(entry: Entry | None) -> Markup:
    """The models on offer with the reasons, the called one marked."""
    if entry is None or entry.fits is None:
        return Markup('<p class="quiet">The models that could draw your request, and why, appear here.</p>')
    called = entry.asked.model if entry.asked else None
    used = _used(entry)
    models = [_model(one, chosen=one.id == called) for one in entry.models]
    named = [one for one in entry.networks if one.matched or one.id in used]
    networks = [_model(one, chosen=one.id in used) for one in named]
    parts = [Markup('<ol class="models">{}</ol>').format(_joined(models[:_SHOWN_MODELS]))] if models else []
    if models[_SHOWN_MODELS:]:
        parts.append(
            Markup('<details><summary>{} more</summary><ol class="models">{}</ol></details>').format(
                len(models) - _SHOWN_MODELS, _joined(models[_SHOWN_MODELS:])
            )
        )
    if networks:
        parts.append(Markup('<h3>Networks</h3><ul class="models">{}</ul>').format(_joined(networks)))
    return _joined(parts) or Markup('<p class="quiet">No model on offer.</p>')


def call(entry: Entry | None, name: Name) -> Markup:
    """The planner's last call, parameter by parameter."""
    if entry is None or entry.asked is None:
        return Markup('<p class="quiet">The call that draws the picture appears here with all its parameters.</p>')
    asked = entry.asked
    return _parameters({"checkpoint": asked.model or asked.tool, **asked.arguments}, name)


def cards(entry: Entry | None, ticked: Iterable[Attempt], name: Name) -> Markup:
    """The attempts with their pictures, rewards and what can be done with them."""
    if entry is None or not entry.attempts:
        return NOTHING
    chosen = {attempt.picture for attempt in ticked}
    return Markup('<ol class="cards">{}</ol>').format(
        _joined(_card(attempt, entry, attempt.picture in chosen, name) for attempt in entry.attempts)
    )


def comparison(ticked: list[Attempt], name: Name) -> Markup:
    """The ticked pictures side by side, each with the parameters in which they differ."""
    if len(ticked) < 2:
        return NOTHING
    told = [_told(attempt.call or {}, name) for attempt in ticked]
    differing = [key for key in PARAMETERS if len({one.get(key, "") for one in told}) > 1]
    figures = [
        Markup("<figure>{}<figcaption>{}{}</figcaption></figure>").format(
            _image(attempt.picture, f"Attempt {attempt.n}"),
            _reward(attempt),
            _list({PARAMETERS[key]: one.get(key, "–") for key in differing}),
        )
        for attempt, one in zip(ticked, told, strict=True)
    ]
    same = "Everything else is the same." if differing else "All their parameters are the same."
    return Markup(
        '<h2>Side by side <button type="button" data-act="untick">Clear</button></h2>'
        '<div class="compare">{}</div><p class="quiet">{}</p>'
    ).format(_joined(figures), same)


def note(attempt: Attempt) -> Markup:
    """What is being edited."""
    return Markup("<h2>Edit the call</h2><p class='quiet'>Of attempt {}. Change what you like: it is drawn as it "
                  "stands here, without planning.</p>").format(attempt.n)  # fmt: skip


def history(entries: Iterable[Entry], current: str | None, name: Name) -> Markup:
    """The requests so far, newest first, as buttons that open them."""
    items = [_remembered(entry, entry.key == current, name) for entry in entries]
    if not items:
        return Markup('<p class="quiet">What you draw is kept in this browser.</p>')
    return Markup('<ol class="history">{}</ol>').format(_joined(items))


def _card(attempt: Attempt, entry: Entry, ticked: bool, name: Name) -> Markup:
    picture, model = attempt.picture, name(attempt.model) if attempt.model else "no model"
    best = Markup('<span class="badge">best</span>') if attempt.n == entry.best and len(entry.attempts) > 1 else NOTHING
    head = Markup('<h3>Attempt {} {}</h3><p class="model">{}</p>').format(attempt.n, best, model)
    reason = Markup('<p class="reason">{}</p>').format(attempt.reason) if attempt.reason else NOTHING
    if picture is None:
        told = Markup('<p class="verdict {}">{}</p>').format(attempt.verdict, _VERDICTS[attempt.verdict])
        return Markup('<li class="card empty">{}{}{}</li>').format(head, told, reason)
    seed = (attempt.call or {}).get("seed")
    actions = Markup(
        '<div class="actions"><label><input type="checkbox" data-act="compare" data-of="{n}"{ticked}> Compare'
        '<span class="spoken"> attempt {n}</span></label>'
        '<button type="button" data-act="edit" data-of="{n}">Edit<span class="spoken"> the call of attempt {n}</span>'
        '</button><a href="{url}" download="{file}">PNG<span class="spoken"> of attempt {n}, with infotext</span></a>'
        "</div>"
    ).format(
        n=attempt.n,
        ticked=Markup(" checked") if ticked else "",
        url=_url(picture),
        file=f"{entry.request[:60]} {seed}.png",
    )
    return Markup('<li class="card">{}{}{}{}{}</li>').format(
        _image(picture, f"Attempt {attempt.n}: {entry.request[:200]}"), head, _reward(attempt), reason, actions
    )


def _remembered(entry: Entry, is_current: bool, name: Name) -> Markup:
    shown = entry.shown
    picture = _image(shown.picture, "") if shown else Markup('<span class="blank" aria-hidden="true"></span>')
    said = _ENDS.get(entry.status, "")
    if shown:
        reward = f" · {shown.reward:.2f}" if shown.reward is not None else ""
        said = f"{name(shown.model) if shown.model else ''}{reward}"
    return Markup(
        '<li><button type="button" data-act="open" data-of="{}"{}>{}<span><b>{}</b><small>{}</small></span></button>'
        "</li>"
    ).format(entry.key, Markup(' aria-current="true"') if is_current else "", picture, entry.request, said)


_ENDS: Final = {"nothing_fits": "nothing fits", "stopped": "stopped", "rejected": "rejected"} | dict.fromkeys(
    ("error", "failed"), "failed"
)


def _model(one: Offered, *, chosen: bool = False) -> Markup:
    why = "; ".join(one.why) or "nearby"
    badge = Markup('<span class="badge">called</span>') if chosen else NOTHING
    return Markup('<li{}><b>{}</b> {}<small class="id">{} · {}</small><span class="why">{}</span></li>').format(
        Markup(' class="chosen"') if chosen else "", one.name, badge, one.type, one.id, why
    )


def _used(entry: Entry) -> set[str]:
    """The networks of the last call."""
    loras = entry.asked.arguments.get("loras") if entry.asked else None
    return {str(use.get("id")) for use in loras if isinstance(use, dict)} if isinstance(loras, list) else set()


def _reward(attempt: Attempt) -> Markup:
    """The verdict, with the reward as a number and as a bar where it is a share."""
    verdict = Markup('<span class="verdict {}">{}</span>').format(attempt.verdict, _VERDICTS[attempt.verdict])
    if attempt.reward is None:
        return Markup('<p class="reward">{}</p>').format(verdict)
    share = min(max(attempt.reward, 0.0), 1.0)
    return Markup(
        '<p class="reward"><span>Reward <b>{:.2f}</b></span>{}</p><meter min="0" max="1" value="{}" aria-hidden="true">'
        "</meter>"
    ).format(attempt.reward, verdict, share)


def _image(picture: Picture | None, alt: str) -> Markup:
    if picture is None:
        return NOTHING
    small = Markup(' class="small"') if picture.width < _SMALL else ""
    return Markup('<img src="{}" width="{}" height="{}" alt="{}" loading="lazy"{}>').format(
        _url(picture), picture.width, picture.height, alt, small
    )


def _url(picture: Picture) -> str:
    """Beside the page, wherever that is mounted."""
    return f"pictures/{picture.sha256}.png"


def _parameters(arguments: Mapping[str, JsonValue], name: Name) -> Markup:
    told = _told(arguments, name)
    return _list({label: told[key] for key, label in PARAMETERS.items() if key in told})


def _told(arguments: Mapping[str, JsonValue], name: Name) -> dict[str, str]:
    """Parameters as people read them; those without a value are left out."""
    told = {key: str(value)[:_LONGEST] for key, value in arguments.items() if value not in (None, "", [])}
    if isinstance(checkpoint := arguments.get("checkpoint"), str):
        told["checkpoint"] = name(checkpoint)
    if isinstance(loras := arguments.get("loras"), list) and loras:
        uses = [use for use in loras if isinstance(use, dict)]
        told["loras"] = ", ".join(f"{name(str(use.get('id')))} at {use.get('weight')}" for use in uses)
    return told


def _list(pairs: Mapping[str, str]) -> Markup:
    rows = [Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*pair) for pair in pairs.items()]
    return Markup("<dl>{}</dl>").format(_joined(rows)) if rows else NOTHING


def _joined(parts: Iterable[Markup]) -> Markup:
    return NOTHING.join(parts)
