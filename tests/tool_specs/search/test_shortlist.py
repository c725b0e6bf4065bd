from __future__ import annotations

import pytest

from finetune.pocket.world import BACKGROUNDS, STYLES, SUBJECTS, caption
from tests.tool_specs.conftest import SpecMaker
from tool_specs.catalog import Catalog
from tool_specs.exceptions import RequestError
from tool_specs.search.embedder import Embedder
from tool_specs.search.shortlist import Shortlister
from tool_specs.spec import Example, ModelFile, ToolSpec

FILE = ModelFile(id=1, name="x.safetensors", type="Model", format="SafeTensor", size_kb=1)


def model_ids(hits: tuple[object, ...]) -> list[int]:
    return [hit.spec.model_id for hit in hits]  # type: ignore[attr-defined]


def test_words_that_no_record_holds(shortlister: Shortlister) -> None:
    shortlist = shortlister.shortlist("a kitten, 8-bit")
    assert shortlist.fits
    best, style = shortlist.hits[0], shortlist.networks[0]
    assert best.spec.model_name == "Pocket Animals"
    assert [(match.request_words, match.term.phrase) for match in best.matched] == [("kitten", "cat")]
    assert "cat" in best.why[0]
    assert style.spec.model_name == "Pocket Pixel Art"
    assert style.matched
    assert not any(hit.matched for hit in (*shortlist.hits[1:], *shortlist.networks[1:]))


def test_a_place_is_a_reason_for_the_models_that_know_the_subject(shortlister: Shortlister) -> None:
    best, *others = shortlister.shortlist("a kitten on a grassy meadow").hits
    assert [match.term.role for match in best.matched] == ["subject"]
    assert [why.split("'")[1] for why in best.why] == ["cat", "in a meadow"]
    assert not any("meadow" in why for hit in others for why in hit.why)
    exact = shortlister.shortlist("a cat on a red background").hits[0]
    assert exact.why == ("knows 'cat'", "knows 'red background'")


@pytest.mark.parametrize(
    ("request_text", "subject", "why", "networks"),
    [
        ("a frog white background pixelated", "frog", "knows 'white background'", [9011]),
        ("a volcano blueprint style on red", "volcano", "for 'on red'", [9015]),
        ("make a cat orange background neon", "cat", "knows 'orange background'", [9014]),
        ("I am looking for a wedding ring over a pink background", "ring", "knows 'pink background'", []),
        ("a sow blueprint style pink background", "pig", "knows 'pink background'", [9015]),
        ("old yellow cab ink sketch on white", "taxi", "for 'on white'", [9012]),
    ],
)
def test_words_in_a_row(
    shortlister: Shortlister, request_text: str, subject: str, why: str, networks: list[int]
) -> None:
    shortlist = shortlister.shortlist(request_text)
    assert [match.term.phrase for match in shortlist.hits[0].matched] == [subject]
    assert why in shortlist.hits[0].why[1]
    assert model_ids(tuple(hit for hit in shortlist.networks if hit.matched)) == networks


def test_every_caption_is_understood(shortlister: Shortlister) -> None:
    styles = (None, *STYLES)
    for number, (subject, model_id) in enumerate(
        (subject, 9001 + n) for n, subjects in enumerate(SUBJECTS.values()) for subject in subjects
    ):
        background, style = BACKGROUNDS[number % len(BACKGROUNDS)], styles[number % len(styles)]
        wordings = {caption(subject, background, number % 4), caption(subject, background)}
        for text in wordings:
            shortlist = shortlister.shortlist(text if style is None else f"{text}, {style}")
            best = shortlist.hits[0]
            assert (best.spec.model_id, best.matched[0].term.phrase) == (model_id, subject), text
            asked = [hit.spec.trigger_words[0] for hit in shortlist.networks if hit.matched]
            assert asked == ([] if style is None else [style]), text


@pytest.mark.parametrize(
    ("request_text", "subject"),
    [("an aubergine", "eggplant"), ("two lorries in the snow", "truck"), ("a vixen in pixel art", "fox"),
     ("a fox cub", "fox"), ("a foal in the snow", "horse"), ("a bull", "cow"), ("a chopper", "helicopter")],
)  # fmt: skip
def test_what_a_lexicon_knows_to_be_a_kind_of_it(shortlister: Shortlister, request_text: str, subject: str) -> None:
    best = shortlister.shortlist(request_text).hits[0]
    assert [match.term.phrase for match in best.matched] == [subject]


@pytest.mark.parametrize("request_text", ["a seahorse", "a tiny rowing boat", "an easter egg in pixel art"])
def test_what_a_lexicon_knows_to_be_something_else(shortlister: Shortlister, request_text: str) -> None:
    assert not shortlister.shortlist(request_text).fits


@pytest.mark.parametrize(
    ("request_text", "networks"),
    [
        ("a pearl neon lights", [9014]),
        ("a sticker of a cucumber pixel art style", [9011]),
        ("a yo-yo white background", []),
    ],
)
def test_a_style_or_a_background_makes_nothing_known(
    shortlister: Shortlister, request_text: str, networks: list[int]
) -> None:
    shortlist = shortlister.shortlist(request_text)
    assert not shortlist.fits
    assert model_ids(tuple(hit for hit in shortlist.networks if hit.matched)) == networks


def test_a_background_that_no_model_knows_is_no_part_of_the_thing(shortlister: Shortlister) -> None:
    best = shortlister.shortlist("a perfect grizzly amber background").hits[0]
    assert [match.term.phrase for match in best.matched] == ["bear"]


def test_nothing_fits(shortlister: Shortlister) -> None:
    shortlist = shortlister.shortlist("a detailed map of Portugal")
    assert not shortlist.fits
    assert len(shortlist.nearest) == 3
    assert all(hit.why for hit in shortlist.nearest)
    assert not any(hit.matched for hit in (*shortlist.hits, *shortlist.networks))


def test_the_first_thing_asked_for_comes_first(shortlister: Shortlister) -> None:
    assert model_ids(shortlister.shortlist("a car and a cat").hits)[:2] == [9003, 9001]
    assert model_ids(shortlister.shortlist("a cat and a car").hits)[:2] == [9001, 9003]


def test_scores_go_down_and_k_holds(shortlister: Shortlister) -> None:
    shortlist = shortlister.shortlist("an owl in watercolor", k=2)
    assert len(shortlist.hits) == len(shortlist.networks) == 2
    assert shortlist.hits[0].score > shortlist.hits[1].score
    assert shortlist.specs == tuple(hit.spec for hit in (*shortlist.hits, *shortlist.networks))


@pytest.mark.parametrize(
    ("request_text", "k", "message"),
    [
        ("", 8, "holds no words"),
        ("  \n\t\x00 ", 8, "holds no words"),
        ("?!…", 8, "holds no words"),
        ("fox " * 2500, 8, "has 9999 characters; say it in at most 2000"),
        ("fox", 0, "at least 1"),
    ],
)
def test_requests_that_cannot_be_used(shortlister: Shortlister, request_text: str, k: int, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        shortlister.shortlist(request_text, k=k)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "request_text", ["\ud800 fox", "狐狸", "🦊", "a" * 2000, "fox\u202e\u0000", "<lora:x:1> fox", "of of of"]
)
def test_odd_text_is_no_error(shortlister: Shortlister, request_text: str) -> None:
    if any(character.isalnum() for character in request_text):
        shortlister.shortlist(request_text)
    else:
        with pytest.raises(RequestError):
            shortlister.shortlist(request_text)


def test_an_empty_catalog_fits_nothing(embedder: Embedder) -> None:
    shortlist = Shortlister(Catalog(), embedder).shortlist("a fox")
    assert not shortlist.fits
    assert shortlist.hits == shortlist.nearest == shortlist.networks == ()


def open_model(make_spec: SpecMaker, model_id: int, **fields: object) -> ToolSpec:
    return make_spec(model_id, base_model="SD 1.5", files=(FILE,), **fields)


def test_an_open_checkpoint_is_found_by_its_evidence(make_spec: SpecMaker, embedder: Embedder) -> None:
    castles = open_model(make_spec, 1, examples=(Example(prompt="a ruined fortress on a hill, fog, matte painting"),))
    faces = open_model(make_spec, 2, description="Portraits of old sailors with weathered faces.")
    catalog = Catalog([faces, castles])
    shortlist = Shortlister(catalog, embedder).shortlist("an old castle on a mountain")
    assert shortlist.fits
    assert model_ids(shortlist.hits) == [1, 2]
    assert model_ids(Shortlister(catalog, embedder).shortlist("portrait of a bearded fisherman").hits) == [2, 1]


def test_what_the_rules_forbid_is_named_and_not_offered(make_spec: SpecMaker, embedder: Embedder) -> None:
    sd15 = open_model(make_spec, 1, tags=("fox",))
    mature = open_model(make_spec, 2, tags=("fox",), content_rating="mature")
    sdxl = make_spec(3, "LORA", "SDXL 1.0", files=(FILE,), tags=("ink",), trigger_words=("ink",))
    fitting = make_spec(4, "LORA", "SD 1.5", files=(FILE,), tags=("ink",), trigger_words=("ink",))
    shortlist = Shortlister(Catalog([sd15, mature, sdxl, fitting]), embedder).shortlist("a fox, ink")
    assert model_ids(shortlist.hits) == [1]
    assert model_ids(shortlist.networks) == [4]
    excluded = dict(shortlist.excluded)
    assert excluded[mature.id] == "its content is rated mature"
    assert "SDXL" in excluded[sdxl.id]


def test_two_versions_of_one_model_take_one_place(make_spec: SpecMaker, embedder: Embedder) -> None:
    versions = [
        open_model(make_spec, 1, id=f"civitai:1@{number}", version_id=number, tags=(tag,))
        for number, tag in ((10, "car"), (11, "fox"))
    ]
    shortlist = Shortlister(Catalog(versions), embedder).shortlist("a fox")
    assert [hit.spec.version_id for hit in shortlist.hits] == [11]


def test_a_model_stands_where_its_best_version_does(make_spec: SpecMaker, embedder: Embedder) -> None:
    specs = [
        open_model(make_spec, model_id, id=f"civitai:{model_id}@{version}", version_id=version, description=text)
        for model_id, version, text in (
            (1, 10, "A red fox in the snow."),
            (1, 11, "Stock market charts."),
            (2, 20, "Small wild animals."),
        )
    ]
    shortlist = Shortlister(Catalog(specs), embedder).shortlist("a fox in the snow")
    assert [hit.spec.version_id for hit in shortlist.hits] == [10, 20]


def test_models_that_know_the_same_word_are_all_found(make_spec: SpecMaker, embedder: Embedder) -> None:
    specs = [make_spec(number, files=(FILE,), tags=("fox", f"thing {number}")) for number in (1, 2)]
    shortlist = Shortlister(Catalog(specs), embedder).shortlist("a fox")
    assert all(hit.matched for hit in shortlist.hits)
    assert len(shortlist.hits) == 2
