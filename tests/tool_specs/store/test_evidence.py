from __future__ import annotations

import pytest

from tool_specs.exceptions import CatalogError
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Counts, Evidence, Use

CALL = {"prompt": "masterpiece, a fox \udcff", "steps": 30, "cfg_scale": 7.5, "seed": 2**63, "sampler": None}
FOX = Evidence("a fox in the snow", (Use(1, 101, None), Use(2, None, 0.8)), CALL, "p1")


def put(database: CatalogDatabase, *items: Evidence) -> Counts:
    with database.transaction() as writing:
        return writing.put_evidence(items)


def test_evidence_comes_back_with_its_call(database: CatalogDatabase) -> None:
    assert put(database, FOX) == Counts(added=1)
    (change,) = database.evidence_changes(0, database.version)
    assert (change.text, change.uses) == (FOX.text, FOX.uses)
    assert database.evidence([change.number, 99]) == {change.number: FOX}
    assert put(database, FOX) == Counts(unchanged=1)
    assert list(database.evidence_changes(change.seq, database.version)) == []


def test_the_same_text_puts_its_models_together(database: CatalogDatabase) -> None:
    put(database, FOX, Evidence("another", (), {}))
    before = database.version
    again = Evidence(FOX.text, (Use(1, 101, 0.5), Use(2, None, 0.1), Use(3, 103, None)), {"steps": 1}, "p2")
    assert put(database, again, FOX) == Counts(changed=1, unchanged=1)
    (change,) = database.evidence_changes(before, database.version)
    assert change.uses == (Use(1, 101, 0.5), Use(2, None, 0.8), Use(3, 103, None))
    assert database.evidence([change.number])[change.number].id == "p1"
    assert put(database, again, FOX) == Counts(unchanged=2)
    assert database.count().evidence == 2


def test_the_same_text_twice_in_one_write(database: CatalogDatabase) -> None:
    other = Evidence(FOX.text, (Use(5, 105, None),), {})
    assert put(database, FOX, other) == Counts(added=1, changed=1)
    (change,) = database.evidence_changes(0, database.version)
    assert change.uses == (*FOX.uses, Use(5, 105, None))
    assert database.evidence([change.number])[change.number].call == CALL


def test_many_pieces_come_in_the_order_of_their_changes(database: CatalogDatabase) -> None:
    put(database, *(Evidence(f"request {n}", (Use(n, n, None),), {}) for n in range(1300)))
    changes = list(database.evidence_changes(0, database.version))
    assert [change.text for change in changes] == [f"request {n}" for n in range(1300)]
    assert len(list(database.evidence_changes(changes[99].seq, changes[1199].seq))) == 1100


@pytest.mark.parametrize("text", ["", "  ", "x" * 2001, "\udcff"])
def test_what_is_no_request_is_refused(database: CatalogDatabase, text: str) -> None:
    with pytest.raises(CatalogError, match="evidence 'p9' is not text of 1 to 2000 characters"):
        put(database, Evidence(text, (), {}, "p9"))
