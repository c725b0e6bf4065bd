from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.stored_models import STYLES, THEMES, filler, prove, put, record
from tool_specs.exceptions import RequestError
from tool_specs.rules import GB, Rules
from tool_specs.search.ranked import NEAREST, Query, RankedShortlister
from tool_specs.search.shortlist import Hit, Shortlist
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import LocalFile

SAFE = "m.safetensors"


def shortlister(database: CatalogDatabase, **rules: object) -> RankedShortlister:
    return RankedShortlister(StoredCatalog(database), rules=Rules(**rules))  # type: ignore[arg-type]


def shortlist(database: CatalogDatabase, request: str, k: int = 8, **rules: object) -> Shortlist:
    return shortlister(database, **rules).shortlist(request, k, explain=True)


def models(hits: Sequence[Hit]) -> list[int]:
    return [hit.spec.model_id for hit in hits]


def reason(found: Shortlist, model_id: int) -> str:
    """Why the one version of a model is kept out."""
    return next((why for name, why in found.excluded if name.startswith(f"civitai:{model_id}@")), "")


def test_what_a_model_was_used_for_comes_first(database: CatalogDatabase) -> None:
    for number, (*_, texts) in THEMES.items():
        found = shortlist(database, texts[0])
        assert models(found.hits)[0] == number
        assert found.fits
        assert texts[0] in found.hits[0].why[0]
        assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
        assert found.nearest == found.hits[:NEAREST]
    for number, (*_, texts) in STYLES.items():
        assert models(shortlist(database, texts[0]).networks)[0] == number


def test_why_names_the_words_that_are_shared(database: CatalogDatabase) -> None:
    (first, *_) = shortlist(database, "a dragon of the sea").hits
    assert first.spec.model_id == 2
    assert "its name, tags or trigger words say dragon" in first.why


def test_k_is_for_each_kind(database: CatalogDatabase) -> None:
    for k in (1, 3, 100):
        found = shortlist(database, "a castle", k)
        assert len(found.hits) == min(k, len(THEMES))
        assert len(found.networks) == min(k, len(STYLES))


@pytest.mark.parametrize(("request_", "k"), [("", 8), ("  !!", 8), ("a castle", 0), ("x" * 20_000, 8)])
def test_what_is_no_request(database: CatalogDatabase, request_: str, k: int) -> None:
    with pytest.raises(RequestError):
        shortlist(database, request_, k)


def test_an_empty_catalog(tmp_path: Path) -> None:
    with CatalogDatabase.open(tmp_path / "none") as database:
        found = shortlist(database, "a castle")
        assert (found.hits, found.networks, found.nearest, found.excluded, found.fits) == ((), (), (), (), False)
        assert shortlister(database).answer([Query("1", "a castle"), Query("2", "", base_model="Pony")], 3) == [[], []]


@pytest.mark.parametrize(
    "request_", ["城堡在日落时", "замок на закате", "🏰", "قلعة", "a", "z" * 200, "castle\u202e\x07 hill"]
)
def test_any_words_are_answered(database: CatalogDatabase, request_: str) -> None:
    if not any(character.isalnum() for character in request_):
        with pytest.raises(RequestError):
            shortlist(database, request_)
        return
    assert len(shortlist(database, request_).hits) == len(THEMES)


def test_words_of_another_script_find_what_is_written_in_it(database: CatalogDatabase) -> None:
    put(database, record(80, "水墨画风格", tags=["水墨画"]))
    prove(database, [("水墨画 竹子", 80)])
    found = shortlist(database, "水墨画 竹子")
    assert models(found.hits)[0] == 80


def test_a_request_of_two_thousand_characters(database: CatalogDatabase) -> None:
    text = ("a castle on a hill at sunset, " * 100)[:2000]
    assert models(shortlist(database, text).hits)[0] == 1


REFUSED = [
    ({"nsfw": True}, {}, "its content is rated explicit"),
    ({"level": 4}, {}, "its content is rated mature"),
    ({"mode": "TakenDown"}, {}, "its files cannot be had any more (TakenDown)"),
    ({"mode": "Archived"}, {}, "its files cannot be had any more (Archived)"),
    ({"availability": "EarlyAccess"}, {}, "its availability is EarlyAccess"),
    ({"file": "m.ckpt"}, {}, "its weights are no scanned safetensors file"),
    ({"file": ""}, {}, "it has no weights file"),
    ({"bases": ("Sora 2",)}, {}, "its base model 'Sora 2' cannot be drawn here"),
    ({"allowCommercialUse": []}, {"commercial": True}, "its pictures may not be sold"),
    ({"size_kb": 7e6}, {"disk": 5 * GB}, "its file of 7.2 GB does not fit on the disk"),
    ({"size_kb": 7e6}, {"memory": 5 * GB}, "its file of 7.2 GB does not fit into the device's memory"),
]


@pytest.mark.parametrize(("fields", "rules", "why"), REFUSED)
def test_what_may_not_be_offered_is_named(
    database: CatalogDatabase, fields: dict[str, object], rules: dict[str, object], why: str
) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"], **fields))  # type: ignore[arg-type]
    prove(database, [("a lighthouse at night", 90)])
    found = shortlist(database, "a lighthouse at night", **rules)
    assert 90 not in models(found.hits)
    assert 90 not in models(found.nearest)
    assert reason(found, 90) == why
    assert models(found.hits)


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"nsfw": True}, {"ratings": ("safe", "mature", "explicit")}),
        ({"allowCommercialUse": []}, {}),
        ({"size_kb": 7e6}, {"disk": 8 * GB, "memory": 8 * GB}),
        ({"availability": "EarlyAccess"}, {"availabilities": ("Public", "EarlyAccess")}),
    ],
)
def test_wider_rules_let_it_in(database: CatalogDatabase, fields: dict[str, object], rules: dict[str, object]) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"], **fields))  # type: ignore[arg-type]
    prove(database, [("a lighthouse at night", 90)])
    found = shortlist(database, "a lighthouse at night", **rules)
    assert models(found.hits)[0] == 90


def test_what_is_on_the_disk_needs_no_download(database: CatalogDatabase) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"], mode="TakenDown", size_kb=7e6))
    put(database, record(91, "Lighthouse II", tags=["lighthouse"], mode="TakenDown", size_kb=7e6))
    with database.transaction() as writing:
        writing.put_local_files([LocalFile("/models/m.safetensors", 1, 1, "A" * 64, "civitai:90@901")])
    found = shortlist(database, "a lighthouse", disk=GB)
    assert models(found.hits)[0] == 90
    assert 91 not in models(found.hits)
    assert 90 not in models(shortlist(database, "a lighthouse", memory=GB).hits)


def test_the_newest_version_that_may_be_offered(database: CatalogDatabase) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"], bases=("Sora 2", "SDXL 1.0", "SD 1.5")))
    (first, *others) = shortlist(database, "a lighthouse").hits
    assert first.spec.id == "civitai:90@902"
    assert 90 not in models(others)


def test_versions_of_one_model_take_one_place(database: CatalogDatabase) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"], bases=["SD 1.5"] * 9))
    found = shortlist(database, "a lighthouse", 4)
    assert models(found.hits).count(90) == 1
    assert len(set(models(found.hits))) == 4
    answered = shortlister(database).answer([Query("1", "a lighthouse", "Checkpoint")], 4)[0]
    assert len({one.model_id for one in answered}) == 4


def test_networks_fit_the_checkpoints(database: CatalogDatabase) -> None:
    put(
        database,
        record(91, "Woodcut for another family", model_type="LORA", tags=["woodcut"], bases=("Flux.1 D",)),
        record(92, "Woodcut", model_type="LoCon", tags=["woodcut"]),
        record(93, "Woodcut of both", model_type="LORA", tags=["woodcut"], bases=("Flux.1 D", "SD 1.5")),
    )
    found = shortlist(database, "a castle, woodcut")
    offered = {hit.spec.id for hit in found.networks}
    assert {"civitai:92@921", "civitai:93@931"} <= offered
    assert 91 not in models(found.networks)
    assert "Flux.1 D" in reason(found, 91)
    put(database, record(94, "Castle of another family", tags=["castle"], bases=("Flux.1 D",)))
    prove(database, [("a castle in the woods, woodcut", 94)])
    found = shortlist(database, "a castle, woodcut")
    assert 94 in models(found.hits)
    assert {91, 92, 93} <= set(models(found.networks))


def test_without_a_checkpoint_no_network_is_offered(tmp_path: Path) -> None:
    with CatalogDatabase.open(tmp_path / "none") as database:
        put(database, record(12, "Knitted", model_type="LORA", tags=["knitted wool"]), record(7, "Seen", nsfw=True))
        found = shortlist(database, "knitted wool")
        assert (found.hits, found.networks, found.fits) == ((), (), False)
        assert reason(found, 7)


def test_the_excluded_are_those_that_would_be_listed(database: CatalogDatabase) -> None:
    several = [
        record(n, f"Lighthouse {n}", tags=["lighthouse"], nsfw=True, examples=[f"lighthouse {n}"])
        for n in range(300, 600)
    ]
    put(database, *several)
    assert len(shortlist(database, "a lighthouse", 5).excluded) == 5
    assert shortlister(database).shortlist("a lighthouse", 5).excluded == ()


def test_forbidden_models_crowd_nobody_out(database: CatalogDatabase) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"]))
    put(database, *(record(n, "Lighthouse", tags=["lighthouse"], nsfw=True, examples=["a lighthouse at night"])
                    for n in range(1000, 1200)))  # fmt: skip
    put(database, *(record(n, "Lighthouse", tags=["lighthouse"], mode="TakenDown") for n in range(2000, 2400)))
    assert models(shortlist(database, "a lighthouse at night").hits)[0] == 90


def test_what_comes_to_the_catalog_is_found_by_the_same_shortlister(database: CatalogDatabase) -> None:
    one = shortlister(database)
    assert 90 not in models(one.shortlist("a lighthouse").hits)
    put(database, record(90, "Lighthouse", tags=["lighthouse"]))
    assert models(one.shortlist("a lighthouse").hits)[0] == 90
    with database.transaction() as writing:
        writing.remove(["civitai:90@901"])
    assert 90 not in models(one.shortlist("a lighthouse").hits)


QUERIES = [
    Query("both", "a castle"),
    Query("wordless", "!?"),
    Query("empty", ""),
    Query("networks", "a castle, ink wash", "LORA"),
    Query("other networks", "knitted wool", "TextualInversion"),
    Query("checkpoints", "a castle, ink wash", "Checkpoint"),
    Query("of a base", "a dragon", base_model="SDXL 1.0"),
    Query("of no base", "a dragon", base_model="Wan Video"),
    Query("foreign", "龙"),
    Query("long", "a dragon above the clouds, " * 80, "Checkpoint"),
]


def test_many_queries_at_once_are_as_each_alone(database: CatalogDatabase) -> None:
    put(database, record(90, "Wyvern", tags=["dragon"], bases=("Pony", "SDXL 1.0", "SD 1.5")), *filler(40))
    one = shortlister(database)
    together = one.answer(QUERIES * 20, 3)
    assert together[: len(QUERIES)] == together[-len(QUERIES) :]
    for query, hits in zip(QUERIES, together, strict=False):
        (alone,) = one.answer([query], 3)
        # Candidates without a word in common are told apart by nothing.
        if len(query.text) > 2:
            assert alone[0].model_id == hits[0].model_id if hits else not alone, query
        if query.type is not None:
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert all(0 <= hit.score <= 1 for hit in hits)
        assert all(hit.why for hit in hits)
    by_id = {query.id: hits for query, hits in zip(QUERIES, together, strict=False)}
    assert 1 in [hit.model_id for hit in by_id["both"]]
    assert by_id["checkpoints"][0].model_id in THEMES
    assert {hit.model_id for hit in by_id["networks"]} == {11, 12}
    assert by_id["networks"][0].model_id == 11
    assert by_id["other networks"][0].model_id == 12
    assert {11, 12}.isdisjoint(hit.model_id for hit in by_id["checkpoints"])
    assert [(hit.model_id, hit.version_id) for hit in by_id["of a base"]] == [(90, 902)]
    assert by_id["of no base"] == []
    assert by_id["long"][0].model_id in (2, 90)
    assert len(by_id["wordless"]) == 3


def test_answers_know_no_rules(database: CatalogDatabase) -> None:
    put(database, record(90, "Lighthouse", tags=["lighthouse"], mode="TakenDown"))
    assert shortlister(database).answer([Query("1", "a lighthouse")], 1)[0][0].model_id == 90


def test_queries_that_cannot_be_answered(database: CatalogDatabase) -> None:
    one = shortlister(database)
    assert one.answer([], 3) == []
    with pytest.raises(RequestError, match="query 'b': the type 'VAE' draws nothing; write one of Checkpoint, DoRA"):
        one.answer([Query("a", "x"), Query("b", "x", "VAE")], 3)
    with pytest.raises(RequestError, match="ask for at least 1"):
        one.answer([Query("a", "x")], 0)
