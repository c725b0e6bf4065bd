from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.stored_models import THEMES, prove, put, record, specs
from tool_specs.rules import Rules
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.substitutes import Substitute, changes, substitutes
from tool_specs.spec import ToolSpec
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


def instead(database: CatalogDatabase, spec_id: str, k: int = 3, rules: Rules | None = None) -> tuple[Substitute, ...]:
    lost = database.spec(spec_id)
    assert lost is not None
    return substitutes(RankedShortlister(StoredCatalog(database), rules=rules), lost, k)


def models(found: Sequence[Substitute]) -> list[int]:
    return [one.spec.model_id for one in found]


def lost_dragon(**fields: object) -> dict[str, object]:
    return record(90, "Old Beast", mode="TakenDown", **fields)  # type: ignore[arg-type]


def test_the_nearest_by_what_it_was_used_for(database: CatalogDatabase) -> None:
    put(database, lost_dragon())
    prove(database, [("a green dragon guarding gold", 90), ("a dragon breathing fire on a town", 90)])
    found = instead(database, "civitai:90@901")
    assert len(found) == 3
    assert models(found)[0] == 2
    assert 90 not in models(found)
    assert found[0].changes == ()
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_without_evidence_by_what_is_written(database: CatalogDatabase) -> None:
    put(database, record(90, "Castle keep", tags=["castle"], mode="Archived", examples=["a castle on a hill"]))
    assert models(instead(database, "civitai:90@901", 1)) == [1]


def test_only_what_may_be_offered(database: CatalogDatabase) -> None:
    put(
        database,
        lost_dragon(),
        record(91, "Dragon of nobody", tags=["dragon"], mode="Archived"),
        record(92, "Dragon for money", tags=["dragon"], availability="EarlyAccess"),
        record(93, "Dragon for fun", tags=["dragon"], allowCommercialUse=[]),
    )
    prove(database, [("a dragon over the sea", number) for number in (90, 91, 92, 93)])
    assert {91, 92}.isdisjoint(models(instead(database, "civitai:90@901", 10)))
    assert 93 in models(instead(database, "civitai:90@901", 10))
    assert 93 not in models(instead(database, "civitai:90@901", 10, Rules(commercial=True)))


def test_only_of_its_family_and_kind(database: CatalogDatabase) -> None:
    put(
        database,
        lost_dragon(),
        record(91, "Dragon XL", tags=["dragon"], bases=("SDXL 1.0",)),
        record(92, "Dragon of both", tags=["dragon"], bases=("SDXL 1.0", "SD 1.5")),
        record(93, "Dragon LoRA", tags=["dragon"], model_type="LORA"),
        record(94, "Dragon of before", tags=["dragon"], bases=("SD 1.4",)),
    )
    prove(database, [("a dragon over the sea", 90)])
    found = instead(database, "civitai:90@901", 10)
    assert {one.spec.family for one in found} == {"sd15"}
    assert {1, 2, 3, 4, 5, 92, 94} == set(models(found))
    by_model = {one.spec.model_id: one for one in found}
    assert by_model[92].spec.base_model == "SD 1.5"
    assert "made for SD 1.4 instead of SD 1.5" in by_model[94].changes


def test_networks_for_a_network(database: CatalogDatabase) -> None:
    gone = record(90, "Yarn", model_type="LORA", tags=["wool"], words=["yarn style"], mode="TakenDown")
    put(database, gone, record(91, "Woollen", model_type="LoCon", tags=["wool"], words=["woollen"]))
    prove(database, [("a fox made of knitted wool", 90), ("a woollen fox", 91)])
    found = {one.spec.model_id: one for one in instead(database, "civitai:90@901")}
    assert set(found) == {11, 12, 91}
    assert found[91].changes == ("a LoCon instead of a LORA", "trigger words: woollen")
    assert found[12].changes == ("trigger words: knitted wool",)


def test_where_there_is_none(database: CatalogDatabase) -> None:
    put(
        database,
        record(90, "Colours", model_type="VAE"),
        record(91, "Film", bases=("Sora 2",)),
        record(92, "Alone", bases=("Flux.1 D",), mode="TakenDown"),
    )
    for spec_id in ("civitai:90@901", "civitai:91@911", "civitai:92@921"):
        assert instead(database, spec_id) == ()


def test_for_a_model_that_the_catalog_does_not_hold(database: CatalogDatabase) -> None:
    (lost,) = specs(record(90, "Castle keep", tags=["castle"]))
    found = substitutes(RankedShortlister(StoredCatalog(database)), lost)
    assert models(found)[0] == 1
    assert len(found) == 3
    assert len(THEMES) > 3


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, ()),
        ({"words": ["red dragon, fire"]}, ("trigger words: red dragon, fire",)),
        ({"allowCommercialUse": []}, ("pictures may not be sold",)),
        ({"bases": ("SD 2.1 768",)}, ("made for SD 2.1 768 instead of SD 1.5",)),
        ({"bases": ("SDXL 1.0",)}, ("made for SDXL 1.0 instead of SD 1.5", "draws at 1024x1024")),
    ],
)
def test_what_will_be_different(fields: dict[str, object], told: tuple[str, ...]) -> None:
    lost, other = (specs(one)[0] for one in (record(1, "One"), record(2, "Two", **fields)))  # type: ignore[arg-type]
    assert changes(lost, other)[: len(told)] == told
    assert len(changes(lost, other)) <= len(told) + 1


def test_words_that_are_no_longer_needed() -> None:
    lost, other = (specs(one)[0] for one in (record(1, "One", words=["old style"]), record(2, "Two")))
    assert isinstance(lost, ToolSpec)
    assert changes(lost, other) == ("no trigger words",)
