from __future__ import annotations

from diffagent_tools.benchmarks.shortlist.fitting import Verdicts
from diffagent_tools.benchmarks.shortlist.report import OURS, fitting_lines, table
from diffagent_tools.benchmarks.shortlist.scoring import Figures
from diffagent_tools.benchmarks.shortlist.splits import Task

TASK = Task("dev", "LORA", ())


def of(mrr: float) -> Figures:
    return Figures(mrr, (0.1, 0.2, 0.3), 0.4)


def test_every_method_is_divided_by_the_best_simple_one() -> None:
    lines = table([(TASK, {"bad": of(0.1), "good": of(0.2), OURS: of(0.3)})]).splitlines()

    assert lines[2:] == [
        "| dev | LORA | bad | 0.100 | 0.100 | 0.200 | 0.300 | 0.400 | 0.50× |",
        "| dev | LORA | good | 0.200 | 0.100 | 0.200 | 0.300 | 0.400 | 1.00× |",
        "| dev | LORA | ours | 0.300 | 0.100 | 0.200 | 0.300 | 0.400 | 1.50× |",
    ]


def test_where_simple_methods_find_nothing_there_is_no_ratio() -> None:
    assert table([(TASK, {"bad": of(0), OURS: of(0.3)})]).endswith("| – |")


def test_wrong_verdicts_are_misses_or_false_alarms() -> None:
    assert fitting_lines([Verdicts("requests", True, 0.98, 50), Verdicts("letters", False, 0.9, 10)]) == [
        "requests (50): 2.0% misses",
        "letters (10): 10.0% false alarms",
    ]
