"""Rollouts on every core of a Ray cluster, made by the functions that make them in one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from finetune.dabench.left_out import LeftOut
from finetune.dabench.pairs import Pair
from finetune.sfta.rollouts import Rollout

if TYPE_CHECKING:
    from finetune.sfta.rollouts import RolloutSettings

PAIRS_OF_A_TASK = 4
"""Few, so that rows are written soon and little is made again when a node is lost."""


class RayRolloutMaker:
    """Sends pairs through Ray Data; rows come back in the order in which they are ready, and are written here.

    Every node needs the planner, and the catalog where there is one, at the paths that the settings name, and finds
    weights and reward models as its own environment says. A worker that dies is replaced, and its pairs are made again.
    """

    def __init__(self, settings: RolloutSettings) -> None:
        """Make rollouts as `settings` say."""
        self._settings = settings

    def rollouts(self, pairs: Sequence[Pair]) -> Iterator[Rollout | LeftOut]:
        """The rollout of each pair as it is ready, or why there is none.

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
            kind = Rollout if row["made"] else LeftOut
            yield kind.model_validate_json(row["row"])


class RolloutWorker:
    """One process of the cluster: it loads the planner and the models once, and keeps them."""

    def __init__(self, settings: str) -> None:
        """Load what `settings`, a `RolloutSettings` as JSON, name."""
        from finetune.dabench.workbench import opened_workbench
        from finetune.sfta.rollout_run import maker_here
        from finetune.sfta.rollouts import RolloutSettings

        told = RolloutSettings.model_validate_json(settings)
        # The catalog stays open for as long as the process lives.
        self._open = ExitStack()
        # What was judged for a finished pair is in its row; nobody else reads this folder.
        judgements = self._open.enter_context(TemporaryDirectory(prefix="diffagent-rollouts-"))
        bench = opened_workbench(told.catalog, told.data, Path(judgements), self._open, pictures=told.pictures)
        self._maker = maker_here(told, bench)

    def __call__(self, row: dict[str, str]) -> dict[str, str | bool]:
        """The rollout of a pair, or why there is none, both as JSON, and which of them it is."""
        made = self._maker.tried(Pair.model_validate_json(row["pair"]))
        return {"row": made.model_dump_json(), "made": isinstance(made, Rollout)}
