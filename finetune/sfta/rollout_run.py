"""Rollouts of pocket models from their settings to their file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from diffagent_tools.chat_models.template_variables import recorded_variables
from finetune.dabench.pairs import read_pairs
from finetune.origin import check_same_origin
from finetune.progress import counting_bar
from finetune.sfta.encoding import file_sha256
from finetune.sfta.rollouts import Maker, Rollout, RolloutMaker, RolloutSettings, make_rollouts, shard_of
from tool_specs.exceptions import ConfigError

FREE_TO_CHANGE = {"limit", "out", "pictures", "model", "data", "workers"}
"""Settings that may change between two runs for the same rows; planner and data are told by what is in them."""


def run_rollouts(settings: RolloutSettings) -> list[Rollout]:
    """Make the rollouts of a shard with the planner and the pocket models; progress goes to standard error.

    Raises:
        ConfigError: A setting or the data set is wrong, or a package is missing.
        WeightsError: The planner or a model cannot be loaded.
    """
    if settings.shard >= settings.shards:
        msg = f"shard {settings.shard} is none of {settings.shards}; give a shard from 0 to {settings.shards - 1}"
        raise ConfigError(msg)
    pairs = read_pairs(settings.data, settings.split)
    _check_same_origin(settings)
    maker = _MAKERS[settings.workers](settings)
    with counting_bar() as progress:
        task = progress.add_task("drawing candidates", total=len(shard_of(pairs, settings)))
        return make_rollouts(pairs, maker, settings, on_pair=lambda: progress.advance(task))


def _maker_here(settings: RolloutSettings) -> Maker:
    return pocket_maker(settings, settings.rows.with_suffix(""))


def _maker_on_ray(settings: RolloutSettings) -> Maker:
    from finetune.sfta.rollouts_on_ray import RayRolloutMaker

    return RayRolloutMaker(settings)


_MAKERS: dict[str, Callable[[RolloutSettings], Maker]] = {"here": _maker_here, "ray": _maker_on_ray}


def pocket_maker(settings: RolloutSettings, judgements: Path) -> RolloutMaker:
    """What makes rollouts in this process, with the planner in it.

    Args:
        settings: Of the run.
        judgements: Folder of what was judged.

    Raises:
        ConfigError: A package is missing.
        WeightsError: The planner cannot be loaded.
    """
    from diffagent_tools.chat_models.local import LocalChatDiffAgent
    from finetune.dabench.workbench import pocket_shortlister, pocket_studio

    planner = LocalChatDiffAgent(folder=settings.model)
    studio = pocket_studio(judgements, pictures=settings.pictures)
    decoder = planner.decoder
    return RolloutMaker(planner, decoder.tokenizer, pocket_shortlister(), studio, settings, template=decoder.template)


def _check_same_origin(settings: RolloutSettings) -> None:
    """Refuse to add rows to those of another planner, other data or other settings."""
    files = {"planner": settings.model / "model.safetensors", "data": settings.data / f"{settings.split}.parquet"}
    told = settings.model_dump(mode="json", exclude=FREE_TO_CHANGE)
    told |= {name: file_sha256(file) for name, file in files.items()}
    if template := recorded_variables(settings.model):
        told["template"] = template
    check_same_origin(settings.rows, told)
