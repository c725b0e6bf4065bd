from __future__ import annotations

import pytest

from tests.tool_specs.conftest import SpecMaker
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CatalogError
from tool_specs.naming import tool_name


@pytest.mark.parametrize(
    "name",
    ["civitai:9001@9101", "9001", " 9001@9101 ", "civitai_9001_pocket_animals", "https://civitai.com/models/9001/x"],
)
def test_a_spec_is_found_by_any_of_its_names(pocket_catalog: Catalog, name: str) -> None:
    assert pocket_catalog.get(name).model_name == "Pocket Animals"


@pytest.mark.parametrize("name", ["civitai:901@1", "pocket animls", "", "☃", "9001@1", "x" * 5000])
def test_an_unknown_name_is_one_line_with_the_nearest_ids(pocket_catalog: Catalog, name: str) -> None:
    with pytest.raises(CatalogError, match=r"nearest are civitai:\d+@\d+ \(.+\), civitai:") as caught:
        pocket_catalog.get(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_nearest_is_what_was_meant(pocket_catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match=r"nearest are civitai:9001@9101"):
        pocket_catalog.get("pocket animls")


def test_an_empty_catalog_says_so() -> None:
    with pytest.raises(CatalogError, match="it is empty"):
        Catalog().get("9001")


def test_versions_of_one_model_are_told_apart(make_spec: SpecMaker) -> None:
    new, old = (
        make_spec(7, name="Fox", id="civitai:7@72", version_id=72),
        make_spec(7, name="Fox", id="civitai:7@71", version_id=71),
    )
    catalog = Catalog([new, old])
    assert len(catalog) == 2
    assert catalog.get("7") == new
    assert catalog.get("civitai:7@71") == old
    assert catalog.by_tool_name("civitai_7_fox") == new
    assert catalog.by_tool_name("civitai_7_fox__71") == old
    assert catalog.by_tool_name("civitai_7_wolf") is None
    assert catalog.by_tool_name("get_weather") is None


def test_a_long_name_is_told_apart_as_well(make_spec: SpecMaker) -> None:
    name = "A model whose name goes on for much longer than a tool name can"
    specs = [make_spec(7, name=name, id=f"civitai:7@{version}", version_id=version) for version in (72, 71)]
    catalog = Catalog(specs)
    for spec in specs:
        made = tool_name(spec.type, spec.model_id, spec.version_id, spec.model_name, ambiguous=True)
        assert catalog.by_tool_name(made) == spec
    assert catalog.by_tool_name(specs[0].tool_name) == specs[0]


def test_of_one_id_the_first_stays(make_spec: SpecMaker) -> None:
    catalog = Catalog([make_spec(7, name="First"), make_spec(7, name="Second")])
    assert [spec.model_name for spec in catalog] == ["First"]
    assert "civitai:7@107" in catalog
    assert "civitai:7@1" not in catalog


def test_specs_by_type_and_family(pocket_catalog: Catalog) -> None:
    assert len(pocket_catalog.specs(type="LORA")) == 6
    assert len(pocket_catalog.specs(family="pocket")) == len(pocket_catalog) == 11
    assert pocket_catalog.specs(type="LORA", family="sdxl") == ()


def test_records_that_cannot_be_read_are_left_out(written_records: list[dict[str, object]]) -> None:
    catalog = Catalog.from_records([{"id": 1}, {}, {"type": "Checkpoint", "modelVersions": "?"}, written_records[0]])
    assert [spec.id for spec in catalog] == ["civitai:9001@9101"]
