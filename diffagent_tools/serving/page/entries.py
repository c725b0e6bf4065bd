"""What the page knows of a request: what was offered, what was called, what came of it.

Entries make up the history that a browser keeps, so what is read back is checked like anything that comes from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from diffagent_tools.progress import Event

MAX_HISTORY: Final = 40
"""Requests that a browser remembers."""
_MAX_ENTRIES: Final = 60
"""Attempts of a request, and models on offer, that are kept."""


def _cut(limit: int) -> BeforeValidator:
    """Texts and lists are cut to a length; what is neither is left to the type's own check."""
    return BeforeValidator(lambda value: value[:limit] if isinstance(value, str | list | tuple) else value)


Text = Annotated[str, _cut(4000)]
Label = Annotated[str, _cut(300)]
Status = Literal["running", "stopped", "error", "accepted", "best_effort", "nothing_fits", "failed", "rejected"]


class _Kept(BaseModel):
    """A part of an entry; keys that are not shown are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Offered(_Kept):
    """A model on the shortlist, or near it."""

    id: Label
    name: Label
    type: Label
    why: Annotated[tuple[Text, ...], _cut(20)] = ()
    matched: bool = True


class Picture(_Kept):
    """A picture of the store."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(gt=0)
    """Size in pixels."""
    height: int = Field(gt=0)


class Attempt(_Kept):
    """One finished attempt, the agent's or one that was drawn from an edited call."""

    n: int = Field(ge=1)
    model: Label | None
    call: dict[str, JsonValue] | None
    """The call as drawn; None when nothing was."""
    picture: Picture | None = Field(default=None, validation_alias="reference")
    reward: float | None
    verdict: Literal["ok", "poor", "fault", "rejected", "edited"]
    reason: Text
    seconds: float

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


class Asked(_Kept):
    """What the planner wants to draw next, whether or not it is valid."""

    attempt: int
    model: Label | None
    tool: Label
    arguments: dict[str, JsonValue]


_Offers = Annotated[tuple[Offered, ...], _cut(_MAX_ENTRIES)]


class Entry(_Kept):
    """One request and all that came of it."""

    key: str = Field(default_factory=lambda: uuid4().hex, max_length=64)
    request: Text
    fits: bool | None = None
    """Whether any model can draw it; None while nobody has looked."""
    models: _Offers = ()
    networks: _Offers = ()
    nearest: _Offers = ()
    asked: Asked | None = None
    """The last call of the planner."""
    attempts: Annotated[tuple[Attempt, ...], _cut(_MAX_ENTRIES)] = ()
    status: Status = "running"
    reason: Text = ""
    best: int | None = None
    """Number of the agent's best attempt."""

    @property
    def is_running(self) -> bool:
        """Whether the agent is still at it."""
        return self.status == "running"

    @property
    def is_kept(self) -> bool:
        """Whether there is anything worth remembering."""
        return bool(self.attempts) or self.status == "nothing_fits"

    @property
    def shown(self) -> Attempt | None:
        """The attempt that stands for the whole: the best one, else the last with a picture."""
        drawn = [attempt for attempt in self.attempts if attempt.picture is not None]
        return next((attempt for attempt in drawn if attempt.n == self.best), drawn[-1] if drawn else None)

    def attempt(self, n: object) -> Attempt | None:
        """The attempt with a number, None if there is none."""
        return next((attempt for attempt in self.attempts if str(attempt.n) == str(n)), None)

    def changed(self, **values: Any) -> Entry:
        """The same with other values."""
        return self.model_copy(update=values)

    def with_attempt(self, attempt: Attempt) -> Entry:
        """The same with one attempt more; the oldest give way."""
        return self.changed(attempts=(*self.attempts, attempt)[-_MAX_ENTRIES:])

    def after(self, event: Event) -> Entry:
        """The same once the agent has told something (`graphs.events`)."""
        match event["event"]:
            case "shortlist":
                offered = Entry.model_validate({"request": self.request, **event})
                return self.changed(**{name: getattr(offered, name) for name in ("fits", *_OFFERS)})
            case "call":
                return self.changed(asked=Asked.model_validate(event))
            case "attempt":
                return self.with_attempt(Attempt.model_validate(event))
            case "outcome":
                return self.changed(**{name: event[name] for name in ("status", "reason", "best")})
        return self


_OFFERS: Final = ("models", "networks", "nearest")


def with_entry(history: Sequence[Entry], entry: Entry) -> list[Entry]:
    """A history, newest first, in which an entry stands anew or in its old place."""
    if any(one.key == entry.key for one in history):
        return [entry if one.key == entry.key else one for one in history]
    return [entry, *history][:MAX_HISTORY]


def written(history: Sequence[Entry]) -> list[dict[str, JsonValue]]:
    """A history as JSON values."""
    return [entry.model_dump(mode="json") for entry in history]


def read(kept: object) -> list[Entry]:
    """The history that a browser kept; entries that cannot be read are left out."""
    entries: list[Entry] = []
    for one in kept[:MAX_HISTORY] if isinstance(kept, list) else ():
        try:
            entry = Entry.model_validate(one)
        except ValidationError:
            continue
        entries.append(entry.changed(status="stopped") if entry.is_running else entry)
    return entries
