"""What is measured of a planner's answers. Each measure gives every answer a value, or none where it does not apply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from finetune.dabench.bootstrap import Values
from finetune.dabench.pairs import Pair
from finetune.dabench.results import Result
from tool_specs.calls import Call, parse_call
from tool_specs.naming import model_id_of

STEPS_TOLERANCE: Final = 0.2
"""Of the gold call's steps."""
CFG_TOLERANCE: Final = 1.0
WEIGHT_TOLERANCE: Final = 0.1
_ROUNDING: Final = 1e-9
"""0.9 is within 0.1 of 0.8, whatever binary fractions say."""


@dataclass(frozen=True, slots=True)
class Case:
    """A pair and what one planner made of it.

    Attributes:
        result: The planner's row.
        gold: The right call; None where declining is right.
        call: The planner's valid call; None where there is none.
    """

    result: Result
    gold: Call | None
    call: Call | None


Value = float | None
"""None where the measure does not apply."""


def cases(pairs: Sequence[Pair], results: Iterable[Result]) -> list[Case]:
    """One planner's cases, in the order of the pairs.

    Args:
        pairs: The pairs.
        results: The planner's rows, one for each pair, in any order.
    """
    rows = {row.pair: row for row in results}
    return [Case(rows[pair.id], _parsed(pair.call), _parsed(rows[pair.id].call)) for pair in pairs]


def invented(case: Case) -> Value:
    """Of the answers that call: whether a name in it is not in the catalog."""
    return None if case.result.declined else float(bool(case.result.invented))


def invalid(case: Case) -> Value:
    """Of the answers that call: whether it cannot be drawn as it stands."""
    return None if case.result.declined else float(case.call is None)


def decline_precision(case: Case) -> Value:
    """Of the declined requests: whether declining was right."""
    return float(case.gold is None) if case.result.declined else None


def decline_recall(case: Case) -> Value:
    """Of the requests that nothing can draw: whether it was declined."""
    return float(case.result.declined) if case.gold is None else None


def checkpoint(case: Case) -> Value:
    """Of the drawable requests: whether the valid call has the gold checkpoint, in any version."""
    if case.gold is None:
        return None
    return float(case.call is not None and model_id_of(case.call.checkpoint) == model_id_of(case.gold.checkpoint))


def checkpoint_offered(case: Case) -> Value:
    """Of the drawable requests: whether the gold checkpoint is on the shortlist, in any version."""
    return None if case.gold is None else float(model_id_of(case.gold.checkpoint) in _models(case.result.offered))


def loras_exact(case: Case) -> Value:
    """Of the drawable requests: whether the valid call names just the gold networks; where none is right, none."""
    if case.gold is None:
        return None
    return float(case.call is not None and _networks(case.call) == _networks(case.gold))


def loras_f1(case: Case) -> Value:
    """Of the drawable requests: F1 of the valid call's networks; 1 where none is right and none is named."""
    if case.gold is None:
        return None
    return 0.0 if case.call is None else _f1(_networks(case.call), _networks(case.gold))


def loras_offered(case: Case) -> Value:
    """Of the drawable requests: whether all gold networks are on the shortlist: the most that `loras_exact` can be."""
    return None if case.gold is None else float(_networks(case.gold) <= _models(case.result.networks))


def loras_f1_offered(case: Case) -> Value:
    """Likewise the most that `loras_f1` can be: that of the gold networks that are on the shortlist."""
    if case.gold is None:
        return None
    return _f1(_networks(case.gold) & _models(case.result.networks), _networks(case.gold))


def sampler(case: Case) -> Value:
    """Of the valid calls for drawable requests: whether the sampler is the gold call's."""
    return float(case.call.sampler == case.gold.sampler) if case.call and case.gold else None


def steps(case: Case) -> Value:
    """Likewise whether the steps are within 20 % of the gold call's."""
    if not (case.call and case.gold):
        return None
    return float(abs(case.call.steps - case.gold.steps) <= STEPS_TOLERANCE * case.gold.steps + _ROUNDING)


def cfg_scale(case: Case) -> Value:
    """Likewise whether the cfg scale is within 1.0."""
    if not (case.call and case.gold):
        return None
    return float(abs(case.call.cfg_scale - case.gold.cfg_scale) <= CFG_TOLERANCE + _ROUNDING)


def size(case: Case) -> Value:
    """Likewise whether width and height are equal."""
    if not (case.call and case.gold):
        return None
    return float((case.call.width, case.call.height) == (case.gold.width, case.gold.height))


def weight(case: Case) -> Value:
    """Of the networks that the valid call and the gold call share: the share with a weight within 0.1."""
    if not (case.call and case.gold):
        return None
    gold = {model_id_of(use.id): use.weight for use in case.gold.loras}
    shared = [(use.weight, gold[model_id_of(use.id)]) for use in case.call.loras if model_id_of(use.id) in gold]
    near = [abs(ours - theirs) <= WEIGHT_TOLERANCE + _ROUNDING for ours, theirs in shared]
    return sum(near) / len(near) if near else None


def agreement(case: Case) -> Value:
    """Mean of sampler, steps, cfg scale, size, and weight where the calls share a network."""
    values = [value for part in (sampler, steps, cfg_scale, size, weight) if (value := part(case)) is not None]
    return sum(values) / len(values) if values else None


def reward(case: Case) -> Value:
    """Of the drawable requests: the picture's reward; 0 where it was declined, invalid or could not be drawn.

    Of several pictures the mean, in which one with a fault is 0.
    """
    return None if case.gold is None else case.result.reward


def reward_drawn(case: Case) -> Value:
    """Of the calls that gave a picture without fault: their `reward`."""
    return case.result.reward if case.result.drawn else None


def faulty(case: Case) -> Value:
    """Of the valid calls that were to be drawn: whether no picture, or none without fault, came of it."""
    return None if case.call is None or case.result.reward is None else float(not case.result.drawn)


def input_tokens(case: Case) -> Value:
    """Tokens read, where the planner counts them."""
    return _number(case.result.input_tokens)


def output_tokens(case: Case) -> Value:
    """Tokens written, likewise."""
    return _number(case.result.output_tokens)


def seconds(case: Case) -> Value:
    """Of the questions that were asked: seconds to the answer."""
    return case.result.seconds or None


MEASURES: Final[Mapping[str, Callable[[Case], Value]]] = {
    measure.__name__: measure
    for measure in (
        invented, invalid, decline_precision, decline_recall, checkpoint, checkpoint_offered, loras_exact, loras_f1,
        loras_offered, loras_f1_offered, sampler, steps, cfg_scale, size, weight, agreement, reward, reward_drawn,
        faulty, input_tokens, output_tokens, seconds,
    )
}  # fmt: skip
"""By name."""


def values(of: Sequence[Case], names: Sequence[str] = tuple(MEASURES)) -> Values:
    """Measures of cases, NaN where they do not apply, (cases, names)."""
    rows = [[MEASURES[name](case) for name in names] for case in of]
    return np.array(rows, dtype=np.float64).reshape(len(of), len(names))


def _number(value: int | None) -> Value:
    return None if value is None else float(value)


def _parsed(call: Mapping[str, object] | None) -> Call | None:
    return None if call is None else parse_call(call)


def _models(spec_ids: Iterable[str]) -> set[int]:
    return {model_id_of(spec_id) for spec_id in spec_ids}


def _networks(call: Call) -> set[int]:
    return _models(use.id for use in call.loras)


def _f1(named: set[int], gold: set[int]) -> float:
    return 2 * len(named & gold) / (len(named) + len(gold)) if named or gold else 1.0
