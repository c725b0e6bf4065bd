"""Rollouts from their settings to their file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from diffagent_tools.chat_models.template_variables import recorded_variables
from finetune.dabench.left_out import LeftOut
from finetune.dabench.pairs import read_pairs
from finetune.origin import check_same_origin
from finetune.progress import counting_bar
from finetune.sfta.encoding import file_sha256
from finetune.sfta.export import fingerprint
from finetune.sfta.rollouts import Maker, Rollout, RolloutMaker, RolloutSettings, make_rollouts, shard_of
from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from finetune.dabench.workbench import Workbench

FREE_TO_CHANGE = {"limit", "out", "pictures", "model", "data", "catalog", "workers"}
"""What may change between two runs for the same rows; planner, data and catalog are told by what is in them."""


def run_rollouts(
    settings: RolloutSettings, *, on_left_out: Callable[[LeftOut], None] = lambda _: None
) -> list[Rollout]:
    """Make the rollouts of a shard with the planner and the models of the catalog; progress goes to standard error.

    Args:
        settings: Of the run.
        on_left_out: Told of each pair that no rollout could be made of; the next run tries it again.

    Raises:
        ConfigError: A setting or the data set is wrong, or a package or the reward models are missing.
        CatalogError: The catalog cannot be read.
        WeightsError: The planner or a model cannot be loaded.
        DownloadError: A model cannot be downloaded.
        BackendError: The machine draws nothing with a model; run again to go on.
    """
    from finetune.dabench.workbench import opened_workbench

    if settings.shard >= settings.shards:
        msg = f"shard {settings.shard} is none of {settings.shards}; give a shard from 0 to {settings.shards - 1}"
        raise ConfigError(msg)
    pairs = read_pairs(settings.data, settings.split)
    with ExitStack() as stack:
        bench = opened_workbench(
            settings.catalog, settings.data, settings.judgements, stack, pictures=settings.pictures
        )
        _check_same_origin(settings, bench.studio.making())
        maker = _MAKERS[settings.workers](settings, bench)
        progress = stack.enter_context(counting_bar())
        task = progress.add_task("drawing candidates", total=len(shard_of(pairs, settings)))
        return make_rollouts(pairs, maker, settings, on_pair=lambda: progress.advance(task), on_left_out=on_left_out)


def maker_here(settings: RolloutSettings, bench: Workbench) -> RolloutMaker:
    """What makes rollouts in this process, with the planner in it.

    Args:
        settings: Of the run.
        bench: Offers, draws and judges.

    Raises:
        ConfigError: A package is missing.
        WeightsError: The planner cannot be loaded.
    """
    from diffagent_tools.chat_models.local import LocalChatDiffAgent

    planner = LocalChatDiffAgent(folder=settings.model)
    decoder = planner.decoder
    return RolloutMaker(
        planner, decoder.tokenizer, bench.shortlister, bench.studio, settings, template=decoder.template
    )


def _maker_on_ray(settings: RolloutSettings, bench: Workbench) -> Maker:  # noqa: ARG001 - workers open their own
    from finetune.sfta.rollouts_on_ray import RayRolloutMaker

    return RayRolloutMaker(settings)


_MAKERS: dict[str, Callable[[RolloutSettings, Workbench], Maker]] = {"here": maker_here, "ray": _maker_on_ray}


def _check_same_origin(settings: RolloutSettings, making: Mapping[str, str]) -> None:
    """Refuse to add rows to those of another planner, other data, models, rewards or settings."""
    if not settings.model.is_dir():
        msg = f"there is no planner in {settings.model}; name the folder of its weights, tokenizer and chat template"
        raise ConfigError(msg)
    told = settings.model_dump(mode="json", exclude=FREE_TO_CHANGE)
    told |= {
        "planner": fingerprint(str(settings.model)),
        "data": file_sha256(settings.data / f"{settings.split}.parquet"),
        **making,
    }
    if template := recorded_variables(settings.model):
        told["template"] = template
    check_same_origin(settings.rows, told)
