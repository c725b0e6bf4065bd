"""Rollouts on every core of a Ray cluster, made by the functions that make them in one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from finetune.dabench.pairs import Pair
from finetune.sfta.rollouts import Rollout

if TYPE_CHECKING:
    from finetune.sfta.rollouts import RolloutSettings

PAIRS_OF_A_TASK = 4
"""Few, so that rows are written soon and little is made again when a node is lost."""


class RayRolloutMaker:
    """Sends pairs through Ray Data; rows come back in the order in which they are ready, and are written here.

    Every node needs the planner at the path that the settings name. A worker that dies is replaced, and its pairs are
    made again.
    """

    def __init__(self, settings: RolloutSettings) -> None:
        """Make rollouts as `settings` say."""
        self._settings = settings

    def rollouts(self, pairs: Sequence[Pair]) -> Iterator[Rollout]:
        """The rollout of each pair as it is ready.

        Raises:
            ConfigError: Ray is not installed, or the cluster cannot be reached.
        """
        if not pairs:
            return
        from diffagent_tools.backends.ray.cluster import chosen_ray_address, connect

        connect(chosen_ray_address())
        import ray

        ray.data.DataContext.get_current().enable_progress_bars = False
        tasks = ceil(len(pairs) / PAIRS_OF_A_TASK)
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        rows = ray.data.from_items([{"pair": pair.model_dump_json()} for pair in pairs], override_num_blocks=tasks).map(
            RolloutWorker,
            fn_constructor_args=(self._settings.model_dump_json(),),
            concurrency=(1, min(tasks, cores)),
            num_cpus=1,
        )
        for row in rows.iter_rows():
            yield Rollout.model_validate_json(row["rollout"])


class RolloutWorker:
    """One process of the cluster: it loads the planner and the models once, and keeps them."""

    def __init__(self, settings: str) -> None:
        """Load what `settings`, a `RolloutSettings` as JSON, name."""
        from finetune.sfta.rollout_run import pocket_maker
        from finetune.sfta.rollouts import RolloutSettings

        # What was judged for a finished pair is in its row; nobody else reads this folder.
        self._judgements = TemporaryDirectory(prefix="diffagent-rollouts-")
        self._maker = pocket_maker(RolloutSettings.model_validate_json(settings), Path(self._judgements.name))

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """The rollout of a pair, both as JSON."""
        return {"rollout": self._maker.rollout(Pair.model_validate_json(row["pair"])).model_dump_json()}
