"""The settings that ship are settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from finetune.settings import SHIPPED, load_settings
from finetune.sfta.align import AlignSettings
from finetune.sfta.sft import SFTSettings

KINDS: dict[str, type[BaseModel]] = {"sft": SFTSettings, "align": AlignSettings, "dpo": AlignSettings}
NAMES = sorted(path.name for path in SHIPPED.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_each_is_read_by_its_name(name: str) -> None:
    settings = load_settings(KINDS[name.partition("-")[0]], Path(name))

    assert isinstance(settings, (SFTSettings, AlignSettings))
    assert settings.lora is not None
    if isinstance(settings, AlignSettings):
        assert settings.method == ("dpo" if name.startswith("dpo") else "rrhf")


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_memory_it_takes_and_how_several_gpus_share_it(name: str) -> None:
    text = SHIPPED.joinpath(name).read_text(encoding="utf-8")

    assert "Memory on one GPU" in text
    assert f"-m finetune.cli.main {'sft' if name.startswith('sft') else 'align'} {name}" in text


def test_all_six_are_there() -> None:
    kinds, sizes = ("align", "dpo", "sft"), ("4b", "8b")

    assert [f"{kind}-qwen3-{size}.yaml" for kind in kinds for size in sizes] == NAMES
