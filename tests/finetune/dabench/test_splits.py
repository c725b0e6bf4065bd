from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.dabench.calls import Dropped
from finetune.dabench.splits import NEAR_GIVEN, NEAR_HELD_BACK, Member, Shares, assign
from tool_specs.naming import parse_spec_id

FIRST = date(2023, 1, 1)


def member(number: int, *models: int, day: int | None = None) -> Member:
    names = tuple(f"civitai:{model}@{model}1" for model in models)
    return Member(f"id-{number}", names, None if day is None else FIRST + timedelta(days=day))


MEMBERS = [member(n, n % 211 + 1, 1000 + n % 13, day=n % 100) for n in range(3000)]
DATED = [member(n, n % 300 + 1, day=n % 100) for n in range(3000)]
"""Each model has one day."""
ALONE = list(range(len(MEMBERS)))


def names(splits: list[str | Dropped]) -> Counter[str]:
    return Counter(one if isinstance(one, str) else one.reason for one in splits)


def test_splits_have_about_their_shares() -> None:
    counts = names(assign(DATED, ALONE, Shares(dev=0.1, test=0.2, unseen=0, time=0.05), seed=1))

    assert 100 <= counts["time"] <= 0.05 * len(MEMBERS)
    rest = len(MEMBERS) - counts["time"]
    assert abs(counts["dev"] / rest - 0.1) < 0.03
    assert abs(counts["test"] / rest - 0.2) < 0.03


def test_the_same_seed_gives_the_same_splits_whatever_the_order() -> None:
    shares = Shares()
    once = assign(MEMBERS, ALONE, shares, seed=5)
    again = assign(MEMBERS[::-1], ALONE[::-1], shares, seed=5)

    assert once == again[::-1]
    assert once != assign(MEMBERS, ALONE, shares, seed=6)


def test_unseen_models_are_in_no_other_split() -> None:
    splits = assign(MEMBERS, ALONE, Shares(unseen=0.1), seed=2)

    models: dict[str, set[int]] = {"unseen": set(), "else": set()}
    for one, split in zip(MEMBERS, splits, strict=True):
        models["unseen" if split == "unseen" else "else"] |= one.model_ids
    only_unseen = models["unseen"] - models["else"]
    assert only_unseen
    in_unseen = [one for one, split in zip(MEMBERS, splits, strict=True) if split == "unseen"]
    assert all(one.model_ids & only_unseen for one in in_unseen)


def test_a_model_that_many_pairs_use_is_never_unseen() -> None:
    splits = assign(MEMBERS, ALONE, Shares(unseen=0.4), seed=2)
    kept = {model for one, split in zip(MEMBERS, splits, strict=True) if split != "unseen" for model in one.model_ids}
    assert set(range(1000, 1013)) <= kept


def test_time_has_the_newest_whole_days() -> None:
    splits = assign(DATED, ALONE, Shares(dev=0, test=0, unseen=0, time=0.05), seed=0)

    days = {one.created for one, split in zip(DATED, splits, strict=True) if split == "time"}
    assert days == {FIRST + timedelta(days=n) for n in range(95, 100)}


def test_a_new_version_of_an_old_model_is_not_in_time() -> None:
    old, new_version, new_model = member(0, 1, day=1), member(1, 1, day=99), member(2, 1, 2, day=99)
    members = [old, new_version, new_model, *(member(n, n, day=1) for n in range(3, 60))]
    splits = assign(members, range(len(members)), Shares(dev=0, test=0, unseen=0, time=0.1), seed=0)
    assert splits == ["train", "train", "time", *["train"] * 57]


def test_without_dates_nothing_is_in_time() -> None:
    undated = [member(n, n % 9 + 1) for n in range(200)]
    assert "time" not in names(assign(undated, range(200), Shares(time=0.4, unseen=0), seed=0))


def test_what_is_near_to_a_pair_held_back_is_left_out() -> None:
    members = [member(0, 1, day=1), member(1, 2, day=50), *(member(n, 1, day=1) for n in range(2, 50))]
    splits = assign(members, [0, 0, *range(2, 50)], Shares(dev=0, test=0, unseen=0, time=0.1), seed=0)

    assert splits[:2] == [Dropped(NEAR_HELD_BACK), "time"]
    assert set(splits[2:]) == {"train"}


def test_dev_and_test_ask_for_no_version_that_training_does_not_know() -> None:
    members = [member(n, n + 1) for n in range(100)]
    assert set(assign(members, range(100), Shares(dev=0.4, test=0.4, unseen=0), seed=0)) == {"train"}


def test_given_splits_are_kept_and_what_is_near_to_them_is_left_out() -> None:
    given = [
        replace(member(0, 1), given="test"),
        replace(member(1, 2), given="train"),
        replace(member(2, 3), given="x"),
    ]
    splits = assign([*given, member(3, 4), member(4, 5)], [0, 1, 1, 0, 4], Shares(unseen=0), seed=0)
    assert splits == ["test", "train", "x", Dropped(NEAR_GIVEN), "train"]


def test_models_of_given_splits_are_neither_unseen_nor_new() -> None:
    given = [replace(member(n, n, day=99), given="train") for n in range(1, 60)]
    ours = [member(n + 100, n, day=n) for n in range(1, 60)]
    shares = Shares(dev=0, test=0, unseen=0.4, time=0.4)
    assert {"unseen", "time"} <= set(assign(ours, range(59), shares, seed=0))
    assert set(assign([*given, *ours], range(118), shares, seed=0)) == {"train"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 6), st.lists(st.integers(1, 8), min_size=1, max_size=3), st.none() | st.integers(0, 9)
        ),
        max_size=40,
    ),
    st.builds(Shares, dev=st.floats(0, 0.4), test=st.floats(0, 0.4), unseen=st.floats(0, 0.4), time=st.floats(0, 0.4)),
    st.integers(0, 5),
)
def test_no_cluster_is_in_two_splits(
    entries: list[tuple[int, list[int], int | None]], shares: Shares, seed: int
) -> None:
    members = [member(n, *models, day=day) for n, (_, models, day) in enumerate(entries)]
    groups = [cluster for cluster, _, _ in entries]
    splits = assign(members, groups, shares, seed)

    kept = [(group, split) for group, split in zip(groups, splits, strict=True) if isinstance(split, str)]
    assert len({group for group, _ in kept}) == len(set(kept))
    assert {group for group, _ in kept} == set(groups)
    train = {name for one, split in zip(members, splits, strict=True) if split == "train" for name in one.models}
    everywhere = {model for one, split in zip(members, splits, strict=True)
                  if split in ("dev", "test", "train") for model in one.model_ids}  # fmt: skip
    for one, split in zip(members, splits, strict=True):
        if split in ("dev", "test"):
            assert set(one.models) <= train
        assert split != "time" or one.model_ids - everywhere
        assert one.model_ids == {parse_spec_id(name)[0] for name in one.models}
