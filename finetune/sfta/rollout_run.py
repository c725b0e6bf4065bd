"""Rollouts of pocket models from their settings to their file."""

from __future__ import annotations

from finetune.dabench.pairs import read_pairs
from finetune.progress import counting_bar
from finetune.sfta.rollouts import Rollout, RolloutMaker, RolloutSettings, make_rollouts, shard_of
from tool_specs.exceptions import ConfigError


def run_rollouts(settings: RolloutSettings) -> list[Rollout]:
    """Make the rollouts of a shard with the planner in process and the pocket models; progress goes to standard error.

    Raises:
        ConfigError: A setting or the data set is wrong, or a package is missing.
        WeightsError: The planner or a model cannot be loaded.
    """
    from diffagent_tools.chat_models.local import LocalChatDiffAgent
    from finetune.dabench.workbench import pocket_shortlister, pocket_studio

    if settings.shard >= settings.shards:
        msg = f"shard {settings.shard} is none of {settings.shards}; give a shard from 0 to {settings.shards - 1}"
        raise ConfigError(msg)
    pairs = read_pairs(settings.data, settings.split)
    planner = LocalChatDiffAgent(folder=settings.model)
    studio = pocket_studio(settings.rows.with_suffix(""), pictures=settings.pictures)
    maker = RolloutMaker(planner, planner.decoder.tokenizer, pocket_shortlister(), studio, settings)
    with counting_bar() as progress:
        task = progress.add_task("drawing candidates", total=len(shard_of(pairs, settings)))
        return make_rollouts(pairs, maker, settings, on_pair=lambda: progress.advance(task))
