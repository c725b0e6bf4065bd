"""What an HTTP answer of Civitai means: data, trouble that passes, or trouble that stays."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from tool_specs.civitai.text import plain_text
from tool_specs.civitai.values import mapping_of, number_of, sequence_of
from tool_specs.exceptions import CivitaiError, ServerError

MAX_WAIT: Final = 300.0
"""Seconds that a server may ask for and still be waited for."""
_LONGEST_BACKOFF: Final = 30
"""The longest wait between two attempts as a multiple of the first."""

_TRANSIENT: Final = frozenset({408, 425, 429, 499, 500, 502, 503, 504, *range(520, 531)})
"""Too many requests, the client closed the request, every fault of the server, and those of Cloudflare before it."""
_REMEDIES: Final[Mapping[int, str]] = {
    400: "check the filters",
    401: "set CIVITAI_API_KEY to a valid key (Civitai: account settings, API keys)",
    403: "your key or your region has no access to it",
    410: "its creator has archived it",
}
_REFUSALS: Final[Mapping[str, str]] = {
    "cursor": "pages were asked for by number; ask by cursor",
    "too many pages": "pages were asked for by number; ask by cursor",
    "unusual amount": "the quota of downloads is used up; try again tomorrow",
}
"""Words of a 429 that waiting does not help against, and the remedy."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    content_type: str
    retry_after: str
    body: bytes


def data_of(answer: Answer, place: str) -> object:
    """The JSON data of an answer.

    Args:
        answer: The answer.
        place: What was asked for, as error messages name it.

    Raises:
        CivitaiError: The answer holds no data; `transient` where the same request may succeed later.
    """
    if _is_page(answer) and answer.status != 401:
        msg = f"{place}: Civitai gave a web page instead of data (HTTP {answer.status}); try later"
        raise CivitaiError(msg, status=answer.status, transient=True, wait=_wait(answer))
    if 200 <= answer.status < 300:
        return _json_of(answer, place)
    told = told_by(answer.body)
    said = f"{place}: Civitai answered {answer.status}" + (f" ({told})" if told else "")
    if answer.status == 429 and (remedy := _refusal(told)):
        raise CivitaiError(f"{said}; {remedy}", status=429)
    if answer.status in _TRANSIENT:
        wait = _wait(answer)
        if wait is not None and wait > MAX_WAIT:
            msg = f"{said} and asks to wait for {wait / 60:.0f} minutes; run it again then"
            raise CivitaiError(msg, status=answer.status, wait=wait)
        raise CivitaiError(f"{said}; try later", status=answer.status, transient=True, wait=wait)
    raise CivitaiError(f"{said}; {_REMEDIES.get(answer.status, 'it will not answer this')}", status=answer.status)


def seconds_to_wait(error: object, failures: int, backoff: float) -> float:
    """Seconds until the next attempt: what the server asks for, but not less than the back-off.

    Args:
        error: How the last attempt failed.
        failures: Attempts that failed in a row, at least 1.
        backoff: Seconds after the first one; doubled after each further one, up to 30 times as long.
    """
    asked = (error.wait or 0.0) if isinstance(error, ServerError) else 0.0
    grown = backoff * min(2 ** (failures - 1), _LONGEST_BACKOFF)
    # Many who failed together should not come back together.
    return max(min(asked, MAX_WAIT), grown + random.uniform(0, backoff))  # noqa: S311


def told_by(body: bytes) -> str:
    """The error text in a body: `{"error": …}`, `{"message": …, "error": …}` or a list of issues; bounded and plain."""
    try:
        fields = mapping_of(json.loads(body[:100_000]))
    except (ValueError, RecursionError):
        return ""
    error = fields.get("error")
    nested = mapping_of(error)
    issues = [*sequence_of(fields.get("issues")), *sequence_of(nested.get("issues"))]
    texts = [
        error,
        fields.get("message"),
        nested.get("message"),
        *(mapping_of(issue).get("message") for issue in issues),
    ]
    told = dict.fromkeys(text for text in texts if isinstance(text, str) and text)
    return plain_text("; ".join(told), 200).replace("\n", " ")


def _is_page(answer: Answer) -> bool:
    return "html" in answer.content_type.casefold() or answer.body[:200].lstrip()[:1] == b"<"


def _json_of(answer: Answer, place: str) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        msg = f"{place}: the answer of {len(answer.body):,} bytes is cut off or no JSON; try later"
        raise CivitaiError(msg, status=answer.status, transient=True) from error


def _refusal(told: str) -> str:
    folded = told.casefold()
    return next((remedy for words, remedy in _REFUSALS.items() if words in folded), "")


def _wait(answer: Answer) -> float | None:
    """The seconds of a `Retry-After` header, which may also be a date; None where there is none or it is no time."""
    seconds = number_of(answer.retry_after.strip())
    if seconds is None and answer.retry_after:
        try:
            date = parsedate_to_datetime(answer.retry_after)
        except ValueError:
            return None
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return None if seconds is None else max(0.0, seconds)
