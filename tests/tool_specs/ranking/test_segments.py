from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.ranking.documents import Prompt, prompt_segment
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.segments import MIN_SCATTERED, Collection, Segment
from tool_specs.ranking.texts import distinct, grams, numbered, words

PLAIN = Encoder(distinct(numbered(["castle"])), np.ones((1, 2), dtype=np.int8), np.ones(1, dtype=np.float32))


def segment(prompts: Sequence[tuple[int, str, tuple[int, ...]]], encoder: Encoder = PLAIN) -> Segment:
    return prompt_segment([Prompt(*one) for one in prompts], encoder)


def ids(numbers: Sequence[int]) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def alive(collection: Collection) -> list[int]:
    return collection.ids[collection.alive].tolist()


def found(collection: Collection, text: str) -> dict[int, float]:
    """The score of each document that counts, by id; 0 is left out."""
    terms = distinct(numbered(grams(words(text))))
    scores = collection.scores("grams", terms, np.ones(len(terms), dtype=np.float32))
    return {
        int(one): round(float(score), 5)
        for one, score, counts in zip(collection.ids, scores, collection.alive, strict=True)
        if counts and score > 0
    }


def test_what_replaces_a_document_counts_in_its_place() -> None:
    first = Collection.of(segment([(1, "a castle", (7,)), (2, "a ship", (8, 9)), (3, "a dragon", (7,))]))
    second = first.replaced(ids([2, 4]), segment([(2, "a harbour", (9,)), (4, "a castle", ())]))
    assert alive(second) == [1, 3, 2, 4]
    assert found(second, "ship") == {}
    assert set(found(second, "castle")) == {1, 4}
    documents, values = second.links
    assert sorted(zip(second.ids[documents].tolist(), values.tolist(), strict=True)) == [(1, 7), (2, 9), (3, 7)]
    # What a search holds does not change under it.
    assert alive(first) == [1, 2, 3]
    assert set(found(first, "ship")) == {2}


def test_what_is_in_the_tail_can_be_replaced_and_removed() -> None:
    collection = Collection.of(segment([(1, "a castle", (7,))]))
    for text in ("a ship", "a dragon", "fruit"):
        collection = collection.replaced(ids([2]), segment([(2, text, (8,))]))
    assert len(collection) == 2
    assert set(found(collection, "fruit")) == {2}
    collection = collection.replaced(ids([1, 2]), segment([]))
    assert alive(collection) == []
    assert collection.links[0].tolist() == []
    assert len(collection.compacted()) == 0


CHANGES = st.lists(
    st.dictionaries(st.integers(1, 9), st.sampled_from([None, "a castle", "red castle", "a ship at sea"]), max_size=4),
    max_size=6,
)


@given(CHANGES)
def test_any_changes_come_to_what_a_new_collection_holds(changes: list[dict[int, str | None]]) -> None:
    now: dict[int, str] = {}
    collection = Collection.of(segment([]))
    for n, change in enumerate(changes):
        new = [(one, text, (one % 3,)) for one, text in change.items() if text is not None]
        collection = collection.replaced(ids(list(change)), segment(new))
        now = {one: text for one, text in {**now, **change}.items() if text is not None}
        if n % 3 == 2:
            collection = collection.compacted()
    anew = Collection.of(segment([(one, text, (one % 3,)) for one, text in now.items()]))
    for state in (collection, collection.compacted()):
        assert sorted(alive(state)) == sorted(now)
        for text in ("castle", "a ship", "red castle at sea"):
            assert found(state, text) == found(anew, text)
        documents, values = state.links
        assert sorted(zip(state.ids[documents].tolist(), values.tolist(), strict=True)) == sorted(
            (one, one % 3) for one in now
        )
    compact, terms = collection.compacted(), numbered(["castle", "a", "sea"])
    assert compact.frequencies("grams", terms).tolist() == anew.frequencies("grams", terms).tolist()


def test_much_change_is_worth_a_new_base() -> None:
    collection = Collection.of(segment([(1, "a castle", ())]))
    many = segment([(n, "a ship", ()) for n in range(10, 10 + MIN_SCATTERED + 1)])
    assert not collection.replaced(ids([1]), segment([(1, "a ship", ())])).is_scattered
    assert collection.replaced(many.ids, many).is_scattered
    assert not collection.replaced(many.ids, many).compacted().is_scattered


def test_what_is_saved_is_mapped_not_read(tmp_path: Path, encoder: Encoder) -> None:
    saved = segment([(1, "a castle", (7,)), (5, "", ()), (3, "a dragon, a castle", (7, 8))], encoder)
    saved.save(tmp_path / "prompts")
    loaded = Segment.load(tmp_path / "prompts")
    assert all(isinstance(array, np.memmap) for array in loaded.columns.values())
    assert found(Collection.of(loaded), "a castle") == found(Collection.of(saved), "a castle")
    assert np.array_equal(loaded.columns["vector"], saved.columns["vector"])
    assert [one.tolist() for one in Collection.of(loaded).links] == [one.tolist() for one in Collection.of(saved).links]
    changed = Collection.of(loaded).replaced(ids([3]), segment([(4, "a ship", ())], encoder))
    changed.compacted().base.save(tmp_path / "again")
    assert Segment.load(tmp_path / "again").ids.tolist() == [1, 5, 4]


def test_nothing_can_be_saved(tmp_path: Path) -> None:
    segment([]).save(tmp_path / "none")
    assert len(Segment.load(tmp_path / "none")) == 0


def test_a_folder_that_lacks_a_file_is_damaged(tmp_path: Path) -> None:
    segment([(1, "a castle", (7,))]).save(tmp_path / "whole")
    for path in sorted((tmp_path / "whole").glob("*.npy")):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises((OSError, ValueError)):
            Segment.load(tmp_path / "whole")
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises((OSError, ValueError)):
            Segment.load(tmp_path / "whole")
        path.write_bytes(content)
    assert len(Segment.load(tmp_path / "whole")) == 1
