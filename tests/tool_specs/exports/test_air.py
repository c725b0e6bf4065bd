from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tool_specs.exports.conftest import CallMaker, make_spec
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CallError, CatalogError
from tool_specs.exports import Air, air_of, parse_air, to_air
from tool_specs.naming import FIRST_LOCAL_ID, parse_spec_id

IDS = st.integers(0, 2**31 - 1)
WORDS = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)


@given(
    st.builds(
        Air, ecosystem=WORDS, type=WORDS, model_id=IDS, version_id=st.none() | IDS, file_id=st.none() | IDS,
        format=st.just("") | st.sampled_from(["safetensors", "ckpt", "gguf"]),
    )
)  # fmt: skip
def test_what_is_written_is_read_back(air: Air) -> None:
    assert parse_air(str(air)) == air
    assert parse_air(str(air).removeprefix("urn:")) == air
    assert parse_air(str(air).removeprefix("urn:air:").upper().replace("CIVITAI", "civitai")) == air
    assert parse_spec_id(str(air)) == parse_spec_id(air.spec_id) == (air.model_id, air.version_id)


@pytest.mark.parametrize(
    ("text", "air"),
    [
        ("urn:air:sdxl:checkpoint:civitai:827184@2514310", Air("sdxl", "checkpoint", 827184, 2514310)),
        ("sdxl:lora:civitai:328553@368189+4.safetensors", Air("sdxl", "lora", 328553, 368189, 4, "safetensors")),
        ("civitai:4384", Air("", "", 4384)),
        ("urn:air:model:civitai:4384", Air("", "model", 4384)),
    ],
)
def test_the_forms_that_are_around(text: str, air: Air) -> None:
    assert parse_air(text) == air


@pytest.mark.parametrize(
    "text", ["", "4384@128713", "urn:air:sdxl:vae:huggingface:stabilityai/sdxl-vae", "urn:air:sd1:model:civitai:x@1"]
)
def test_what_is_not_on_civitai_is_refused(text: str) -> None:
    with pytest.raises(CatalogError, match="names nothing on Civitai: an AIR looks like"):
        parse_air(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        air = parse_air(text)
    except CatalogError:
        return
    assert parse_air(str(air)) == air


def test_a_call_names_its_models_the_checkpoint_first(world: Catalog, call_of: CallMaker) -> None:
    call = call_of("Pony", loras=[{"id": f"civitai:{n}@{n + 100}"} for n in (601, 602, 603, 604)])
    number = call.checkpoint.removeprefix("civitai:")
    assert to_air(call, world) == [
        f"urn:air:sdxl:checkpoint:civitai:{number}",
        "urn:air:sdxl:lora:civitai:601@701",
        "urn:air:sdxl:lycoris:civitai:602@702",
        "urn:air:sdxl:dora:civitai:603@703",
        "urn:air:sdxl:embedding:civitai:604@704",
    ]


def test_every_model_that_can_be_drawn_has_one_but_the_pocket_ones(world: Catalog) -> None:
    for spec in world:
        if spec.family == "pocket":
            with pytest.raises(CallError, match="exists only inside this package, so it has no AIR"):
                air_of(spec)
        else:
            assert parse_air(str(air_of(spec))).spec_id == spec.id
    assert air_of(make_spec(5, "Checkpoint", "Flux.1 D", role="UNet")).type == "unet"


def test_what_civitai_does_not_have_is_refused() -> None:
    with pytest.raises(CallError, match="exists only on this machine"):
        air_of(make_spec(FIRST_LOCAL_ID + 5, "Checkpoint", "SD 1.5"))
    with pytest.raises(CallError, match=r"is a VAE for 'SD 1\.5', for which no AIR is known"):
        air_of(make_spec(5, "VAE", "SD 1.5"))
    with pytest.raises(CallError, match="for 'Kolors', for which no AIR is known"):
        air_of(make_spec(5, "LORA", "Kolors"))
