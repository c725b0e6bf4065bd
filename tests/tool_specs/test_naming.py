from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.exceptions import CatalogError
from tool_specs.naming import (
    FIRST_LOCAL_ID,
    SPEC_ID_PATTERN,
    local_id,
    parse_spec_id,
    parse_tool_name,
    spec_id,
    tool_name,
)

IDS = st.integers(min_value=1, max_value=2**32 - 1)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("civitai:4384@128713", (4384, 128713)),
        (" 4384 ", (4384, None)),
        ("4384@128713", (4384, 128713)),
        ("urn:air:sd1:checkpoint:civitai:4384@128713", (4384, 128713)),
        ("urn:air:sd1:checkpoint:civitai:4384@128713.safetensors", (4384, 128713)),
        ("air:sdxl:lora:civitai:1@2+33.safetensors", (1, 2)),
        ("local:2147483648@4294967295", (2147483648, 4294967295)),
        ("2147483648", (2147483648, None)),
        ("https://civitai.com/models/4384", (4384, None)),
        ("https://civitai.red/models/4384/dreamshaper?modelVersionId=128713", (4384, 128713)),
        ("https://civitai.green/models/4384/dreamshaper?a=b&modelVersionId=128713#x", (4384, 128713)),
    ],
)
def test_ways_to_name_a_model(text: str, ids: tuple[int, int | None]) -> None:
    assert parse_spec_id(text) == ids


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dreamshaper",
        "civitai:",
        "civitai:@5",
        "local:4384@128713",
        "local:",
        "civitai:4384@",
        "-1",
        "https://example.com/models/1",
        "1" * 11,
        "٤٣",
    ],
)
def test_what_names_no_model_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CatalogError, match=r"civitai:4384@128713"):
        parse_spec_id(text)


@given(IDS, IDS)
def test_ids_round_trip(model_id: int, version_id: int) -> None:
    assert parse_spec_id(spec_id(model_id, version_id)) == (model_id, version_id)


@given(st.text(max_size=200), IDS, IDS, st.booleans())
def test_tool_names_are_valid_for_every_api_and_round_trip(
    name: str, model_id: int, version_id: int, ambiguous: bool
) -> None:
    made = tool_name("LORA", model_id, version_id, name, ambiguous=ambiguous)

    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", made)
    assert parse_tool_name(made) == (model_id, version_id if ambiguous else None)


def test_tool_names_are_readable() -> None:
    assert tool_name("Checkpoint", 4384, 128713, "DreamShaper") == "civitai_4384_dreamshaper"
    assert tool_name("Checkpoint", 4384, 128713, "Café — v8 (fp16)!") == "civitai_4384_cafe_v8_fp16"
    assert tool_name("LORA", 886334, 1, "グラデーション") == "civitai_886334_lora"
    assert tool_name("LORA", 1, 22, "Pixels", ambiguous=True) == "civitai_1_pixels__22"


def test_a_local_file_is_named_by_its_hash() -> None:
    assert local_id("0" * 64) == FIRST_LOCAL_ID
    assert local_id("F" * 64) == local_id("fffffffe" + "0" * 56) == 2**32 - 1
    assert spec_id(FIRST_LOCAL_ID, FIRST_LOCAL_ID) == "local:2147483648@2147483648"
    assert spec_id(FIRST_LOCAL_ID - 1, 7) == "civitai:2147483647@7"
    assert re.fullmatch(SPEC_ID_PATTERN, spec_id(2**32 - 1, 2**32 - 1))
    assert tool_name("LORA", FIRST_LOCAL_ID, FIRST_LOCAL_ID, "Ink") == "local_2147483648_ink"


@pytest.mark.parametrize("name", ["draw", "civitai_x_y", "civitai_1", "civitai_1_", "", "Civitai_1_a"])
def test_foreign_tool_names_are_refused(name: str) -> None:
    with pytest.raises(CatalogError, match="is no tool name"):
        parse_tool_name(name)
