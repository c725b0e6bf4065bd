from __future__ import annotations

import pytest

from graphs.pins import at_final_size, call_of, check_pins, narrowed, pinned
from graphs.state import HiresOption, Options
from tests.graphs.paper_world import (
    ANIMALS,
    CATALOG,
    FOOD,
    OLD_STYLE,
    PIXEL,
    WATERCOLOR,
    WordEmbedder,
    spec_of,
)
from tool_specs.calls import HiresFix
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CatalogError, RequestError
from tool_specs.rules import Rules
from tool_specs.search.shortlist import Shortlister

OLD = "civitai:9003@9103"
BIGGER = Catalog((*CATALOG, spec_of(OLD, "Old Paintings", ("portrait",), base_model="SD 1.5")))
FIXED: Options = {"loras": [{"id": OLD_STYLE, "weight": None}]}


def shortlister(catalog: Catalog = BIGGER, **options: object) -> Shortlister:
    return Shortlister(catalog, WordEmbedder(), **options)  # type: ignore[arg-type]


def test_without_wishes_the_shortlist_stays_as_it_is() -> None:
    found = shortlister().shortlist("a fox")
    same = narrowed(found, BIGGER, {})
    assert (same.hits, same.networks, same.fits) == (found.hits, found.networks, found.fits)


def test_a_lora_leaves_the_checkpoints_it_loads_into() -> None:
    left = narrowed(shortlister().shortlist("a portrait"), BIGGER, FIXED)
    assert [hit.spec.id for hit in left.hits] == [OLD]
    assert [hit.spec.id for hit in left.networks] == [OLD_STYLE]


def test_a_lora_that_loads_into_nothing_says_why() -> None:
    with pytest.raises(RequestError, match=r"Old Style .* is for SD 1.5 \(sd1\)"):
        narrowed(shortlister(CATALOG).shortlist("a fox"), CATALOG, FIXED)


def test_the_reason_stays_short_however_many_models_there_are() -> None:
    many = [spec_of(f"civitai:{n}@{n + 100}", f"Model {n}", ("fox",)) for n in range(1, 200)]
    with pytest.raises(RequestError) as raised:
        check_pins(Catalog((*CATALOG, *many)), FIXED)
    assert len(str(raised.value)) < 200


def test_a_size_leaves_the_families_that_can_draw_it() -> None:
    left = narrowed(shortlister().shortlist("a portrait of a fox"), BIGGER, {"width": 768, "height": 512})
    assert [hit.spec.id for hit in left.hits] == [OLD]


def test_a_named_model_counts_as_fitting() -> None:
    found = shortlister(CATALOG).shortlist("quarterly tax declaration")
    assert found.fits is False
    assert narrowed(found, CATALOG, {"model": FOOD}).fits is True


def test_what_the_rules_forbid_cannot_be_named() -> None:
    forbidden = spec_of("civitai:9009@9109", "Not For All", ("fox",)).model_copy(update={"content_rating": "explicit"})
    catalog = Catalog((*CATALOG, forbidden))
    found = shortlister(catalog, rules=Rules()).shortlist("a fox")
    with pytest.raises(RequestError, match="rated explicit"):
        narrowed(found, catalog, {"model": forbidden.id})


def test_wishes_are_checked_without_searching() -> None:
    check_pins(BIGGER, {"width": 768, "height": 512})
    with pytest.raises(CatalogError, match="nearest"):
        check_pins(BIGGER, {"model": "civitai:5@5"})
    with pytest.raises(RequestError, match="multiple of 8"):
        check_pins(BIGGER, {"model": ANIMALS, "width": 65})
    with pytest.raises(RequestError, match="does not load"):
        check_pins(BIGGER, {"model": ANIMALS, **FIXED})


def test_wishes_go_before_proposals() -> None:
    proposed = {"prompt": "a fox", "steps": 20, "seed": None, "loras": [{"id": WATERCOLOR, "weight": 1.0}], "width": 64}
    wishes: Options = {"steps": 9, "seed": 40, "loras": [{"id": PIXEL, "weight": None}]}
    result = pinned(proposed, CATALOG, wishes, 3)
    assert result == {
        "prompt": "a fox, pixel art",
        "steps": 9,
        "seed": 42,
        "loras": [{"id": PIXEL, "weight": 0.9}],
        "width": 64,
    }
    assert proposed["steps"] == 20
    assert pinned({"prompt": "Pixel Art of a fox"}, CATALOG, wishes, 1)["prompt"] == "Pixel Art of a fox"


def test_a_hires_fix_goes_into_the_call_and_a_refinement_goes_on_at_the_final_size() -> None:
    fixed: Options = {"hires": {"upscale": 1.5, "denoising_strength": 0.5}}
    call = call_of(CATALOG.get(ANIMALS), {"prompt": "a fox"}, fixed)
    assert call.hires == HiresFix(upscale=1.5, denoising_strength=0.5)
    assert call_of(CATALOG.get(ANIMALS), {"prompt": "a fox"}, {}).hires is None
    larger = at_final_size(call)
    assert (larger.width, larger.height, larger.hires) == (96, 96, None)


@pytest.mark.parametrize(
    ("hires", "said"),
    [
        ({"upscale": 3.0}, "makes 192x192: pocket draws at most 128"),
        ({"upscale": 0.5}, "hires.upscale=0.5 is too small"),
    ],
)
def test_a_hires_fix_that_no_model_can_draw_is_refused_before_anything_is_loaded(hires: HiresOption, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        check_pins(CATALOG, {"hires": hires})
