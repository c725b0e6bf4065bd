from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.infotext import Infotext, parse_infotext
from tool_specs.samplers import SAMPLERS

SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768"


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> dict[str, str]:
    """Real infotexts by the number that heads them."""
    text = (shared_data / "a1111_samples.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^### (\d+) [^\n]*\n<<<\n(.*?)\n>>>", text, re.DOTALL | re.MULTILINE)
    return dict(blocks)


def test_every_real_sample_gives_steps_and_guidance(samples: dict[str, str]) -> None:
    assert len(samples) > 45
    for number, text in samples.items():
        read = parse_infotext(text)
        assert read.steps, number
        assert read.cfg_scale or number == "51", number
        assert "Steps:" not in read.prompt + read.negative_prompt, number
        assert "Negative prompt" not in read.prompt + read.negative_prompt, number
        assert "<lora" not in read.prompt, number
        assert read.sampler in {*SAMPLERS, "Undefined", ""}, number


REAL: dict[str, dict[str, object]] = {
    "02": {"loras": (("Vivid_Impactful_Style_locon_v4h", 0.7),), "width": 512, "height": 1024, "clip_skip": 2},
    "10": {"width": 512, "height": 640, "seed": None, "sampler": "DPM++ 2S a Karras"},
    "11": {"seed": None, "sampler": "Euler a"},
    "16": {"loras": (("连体白丝4-000012", 0.9),)},
    "22": {"sampler": "DPM++ 2M Karras", "model": "Hakoyume BETA v2.3"},
    "23": {"model": "0.5(0.55(0.1592m) + 0.45(gerogyoshida)) + 0.5(chettykaigashin2)"},
    "24": {"negative_prompt": "badhandv4 bad_prompt EasyNegative"},
    "26": {"prompt": "3d cartoon, felt boom", "loras": (("bolora", 0.8),)},
    "42": {"loras": (("add_detail", -1.0), ("epiNoiseoffset_v3", 1.0), ("koreanGalLoconLora_1", 0.4))},
    "43": {"loras": (("bichu0612", 0.6), ("油画笔触Oil brushstrokes", 0.7))},
    "45": {"steps": 22, "model": "Deliberate", "model_hash": "9aba26abdf"},
    "56": {"sampler": "LCM", "schedule_type": "Automatic", "cfg_scale": 1.5},
    "58": {"sampler": "Euler SGM Uniform", "schedule_type": "Simple", "cfg_scale": 3.5, "negative_prompt": ""},
    "59": {"steps": 23, "negative_prompt": "", "seed": 1760020955, "width": 832},
    "61": {"steps": 32, "sampler": "DPM++ SDE Karras", "model": "ghostmix_v20Bakedvae", "width": 768},
    "62": {"sampler": "Euler a", "seed": None},
    "63": {"sampler": "", "schedule_type": "Karras", "steps": 30},
    "64": {"sampler": "DPM++ 2M Karras", "width": 985, "height": 1266},
    "67": {
        "negative_prompt": "negative prompt text, low quality.",
        "loras": (("generic_lora_a", 1.0), ("generic_lora_b", 1.0)),
    },
    "68": {"sampler": "Euler a SGM Uniform", "steps": 10},
}


@pytest.mark.parametrize("number", REAL)
def test_what_is_odd_about_real_samples(samples: dict[str, str], number: str) -> None:
    read = parse_infotext(samples[number])
    assert {name: getattr(read, name) for name in REAL[number]} == REAL[number]


def test_fields_without_an_attribute_are_kept(samples: dict[str, str]) -> None:
    assert parse_infotext(samples["13"]).extra["Batch size"] == "32"
    assert parse_infotext(samples["37"]).extra["Template"].endswith("treasure chest")
    assert parse_infotext(samples["38"]).extra["ControlNet 0"].startswith("preprocessor: tile_resample, model:")
    assert parse_infotext(samples["57"]).extra["Civitai metadata"] == "{}"


@pytest.mark.parametrize(
    "text", ["", " ", "a fox", "Negative prompt:", "Steps:", ",,,", '"', "{", "Steps: 1e999, Seed: 9, Size: x"]
)
def test_texts_without_settings(text: str) -> None:
    read = parse_infotext(text)
    assert (read.steps, read.seed) == (None, None) or text.startswith("Steps: 1e999")


def test_a_seed_beyond_floats_is_exact() -> None:
    assert parse_infotext(SETTINGS.replace("Seed: 1", "Seed: 18446744073709551615")).seed == 2**64 - 1


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('"a, b: c"', "a, b: c"),
        (r'"say \"hi\""', 'say "hi"'),
        ("[1] x", "[1] x"),
        ("{x", "{x"),
        ("plain text", "plain text"),
    ],
)
def test_quoting(value: str, read: str) -> None:
    assert parse_infotext(f"a fox\n{SETTINGS}, Note: {value}, Last: 1").extra == {"Note": read, "Last": "1"}


@given(st.text(max_size=400))
def test_nothing_makes_it_fail(text: str) -> None:
    assert isinstance(parse_infotext(text), Infotext)


@given(
    st.lists(
        st.sampled_from(
            ["Steps: 2", "Seed: ", '"', "{", ":", ",", "\n", "Negative prompt:", "<lora:a:", ">", SETTINGS, "x"]
        )
    )
)
def test_nor_do_pieces_of_infotexts(pieces: list[str]) -> None:
    read = parse_infotext("".join(pieces))
    assert "Negative prompt:" not in read.prompt
