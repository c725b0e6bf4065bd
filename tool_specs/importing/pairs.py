"""Pairs of a request and the call that drew it, as evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tool_specs.civitai.metadata import MAX_PROMPT, tidy_prompt
from tool_specs.civitai.text import plain_text
from tool_specs.civitai.values import integer_of, mapping_of, number_of, sequence_of, text_of
from tool_specs.exceptions import CatalogError
from tool_specs.naming import FIRST_LOCAL_ID
from tool_specs.prompts import clean_prompt
from tool_specs.store.rows import Evidence, Use

MAX_USES: Final = 20

_TRAINING: Final = "train"
_NUMBERED: Final = re.compile(r"([A-Za-z][A-Za-z_-]*?)[-_:/]?[0-9]+")
"""An id that begins with the name of a split: "unseen-dev-00042"."""

_EVALUATION: Final = re.compile(r"\b(?:dev|test|unseen|val|validation|eval|evaluation|heldout|kept)\b", re.IGNORECASE)

_INTEGERS: Final = ("steps", "seed", "width", "height", "clip_skip")
_PROMPTS: Final = ("prompt", "negative_prompt")
_LABELS: Final = ("sampler", "base_model")


def evidence_of(value: object) -> Evidence:
    """Read one pair: `{"id", "text", "gold": [{"model_id", "version_id", "weight"}], "prompt", "sampler", …}`.

    Raises:
        CatalogError: It is no pair, names no model, or belongs to an evaluation, which must not be known beforehand.
    """
    pair = mapping_of(value)
    if "gold" not in pair or not isinstance(pair.get("text"), str):
        msg = "it is no pair: a pair has a text, and gold with the models that drew it"
        raise CatalogError(msg)
    identity = text_of(pair.get("id"))
    split = text_of(pair.get("split")) or _split_in(identity)
    if (split and split.casefold() != _TRAINING) or _EVALUATION.search(identity):
        msg = f"it is an evaluation pair ({split or identity}), which is never evidence"
        raise CatalogError(msg)
    text = plain_text(str(pair["text"]), MAX_PROMPT)
    uses = tuple(use for entry in sequence_of(pair["gold"])[:MAX_USES] if (use := _use(mapping_of(entry))))
    if not text or not uses:
        msg = "its gold names no model" if text else "its text is empty"
        raise CatalogError(msg)
    return Evidence(text=text, uses=uses, call=_call(pair), id=identity)


def _split_in(identity: str) -> str:
    match = _NUMBERED.fullmatch(identity)
    return match[1] if match else ""


def _use(entry: Mapping[str, object]) -> Use | None:
    model_id = integer_of(entry.get("model_id"), least=1, most=FIRST_LOCAL_ID - 1)
    if model_id is None:
        return None
    version_id = integer_of(entry.get("version_id"), least=1, most=FIRST_LOCAL_ID - 1)
    return Use(model_id, version_id, number_of(entry.get("weight")))


def _call(pair: Mapping[str, object]) -> dict[str, object]:
    """The parameters that are there, each cleaned and bounded."""
    call: dict[str, object] = {key: _prompt(pair.get(key)) for key in _PROMPTS}
    call |= {key: text_of(pair.get(key)) for key in _LABELS}
    call |= {key: integer_of(pair.get(key)) for key in _INTEGERS}
    call["cfg_scale"] = number_of(pair.get("cfg_scale"))
    loras = [_network(mapping_of(entry)) for entry in sequence_of(pair.get("loras"))[:MAX_USES]]
    call["loras"] = [lora for lora in loras if lora["name"]]
    return {key: value for key, value in call.items() if value not in (None, "", [])}


def _prompt(value: object) -> str:
    return tidy_prompt(clean_prompt(value[: 10 * MAX_PROMPT])) if isinstance(value, str) else ""


def _network(entry: Mapping[str, object]) -> dict[str, object]:
    return {"name": text_of(entry.get("name")), "weight": number_of(entry.get("weight"))}
