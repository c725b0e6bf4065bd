from __future__ import annotations

import numpy as np
import pytest

from diffagent_tools.benchmarks.catalog.generation import make_corpus
from diffagent_tools.benchmarks.catalog.stores.ours import RankedCatalog
from diffagent_tools.benchmarks.middleware import Cost, bare_turn, table, with_middleware, with_static_tools


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Cost]:
    folder = tmp_path_factory.mktemp("bench")
    corpus = make_corpus(folder / "corpus", specs=400, evidence=400)
    (folder / "catalog").mkdir()
    RankedCatalog(folder / "catalog", corpus).build()
    queries = [entry.text for entry in corpus.queries()[:5]]
    bare = bare_turn(queries)
    return [run(folder / "catalog", queries, bare) for run in (with_middleware, with_static_tools)]


def test_every_turn_is_measured(measured: list[Cost]) -> None:
    ours, static = measured
    assert (len(ours.fresh), len(ours.later), len(ours.searches)) == (4, 4, 4)
    assert (len(static.fresh), len(static.later), static.searches) == (1, 5, [])
    assert all((times > 0).all() for times in (*ours.fresh, *ours.later, *ours.searches, *static.later))


def test_a_few_tools_are_bound_instead_of_all(measured: list[Cost]) -> None:
    ours, static = measured
    assert min(ours.tools) == 1, "search_models alone, before anything is found"
    assert 3 <= max(ours.tools) <= 9
    assert max(ours.tokens) <= 3000
    assert static.tools[0] > 20
    assert static.tokens[0] > 3000


def test_the_table_shows_medians_and_worst_cases() -> None:
    times = [np.array((float(n), n / 2)) for n in (10, 20, 30)]
    cost = Cost("ours", 1.5, times, [np.array((7.0, 3.0))], [1, 4], [100, 2500], times)
    lines = table([cost]).splitlines()
    assert lines[2] == "| ours | 1.50 | 20.0 / 29.0 (10.0) | 7.0 (3.0) | 4 | 1,300 / 2,500 |"
    assert lines[-1] == "A call of `search_models` takes 20.0 / 29.0 (10.0) ms."
