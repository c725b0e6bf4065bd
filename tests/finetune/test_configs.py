"""The settings that ship are settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from finetune.settings import SHIPPED, load_settings
from finetune.sfta.align import AlignSettings
from finetune.sfta.rollouts import RolloutSettings
from finetune.sfta.sft import SFTSettings

KINDS: dict[str, type[BaseModel]] = {
    "sft": SFTSettings,
    "rollouts": RolloutSettings,
    "align": AlignSettings,
    "dpo": AlignSettings,
}
NAMES = sorted(path.name for path in SHIPPED.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_each_is_read_by_its_name(name: str) -> None:
    settings = load_settings(KINDS[name.partition("-")[0]], Path(name))

    if isinstance(settings, RolloutSettings):
        aligned = load_settings(AlignSettings, Path(name.replace("rollouts", "align")))
        assert (aligned.data, aligned.model) == (settings.rows, str(settings.model))
        assert settings.catalog is not None
        return
    assert isinstance(settings, (SFTSettings, AlignSettings))
    assert settings.lora is not None
    if isinstance(settings, AlignSettings):
        assert settings.method == ("dpo" if name.startswith("dpo") else "rrhf")


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_memory_it_takes_and_how_several_gpus_share_it(name: str) -> None:
    text = SHIPPED.joinpath(name).read_text(encoding="utf-8")

    assert "Memory on one GPU" in text
    if name.startswith("rollouts"):
        assert f"diffagent-train rollouts {name} shards=4 shard=0" in text
    else:
        assert f"-m finetune.cli.main {'sft' if name.startswith('sft') else 'align'} {name}" in text


def test_all_eight_are_there() -> None:
    kinds, sizes = ("align", "dpo", "rollouts", "sft"), ("4b", "8b")

    assert [f"{kind}-qwen3-{size}.yaml" for kind in kinds for size in sizes] == NAMES
