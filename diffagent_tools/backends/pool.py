"""The checkpoints that stay loaded: on the device that draws, then in RAM, the least recently used going first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from diffagent_tools.backends.checkpoints import LoadedCheckpoint
    from diffagent_tools.backends.networks import FileStamp

    Load = Callable[[torch.device], LoadedCheckpoint]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class Tier:
    """A place for checkpoints.

    Attributes:
        device: Where their weights are.
        limit: Bytes that they may take together.
        held: The checkpoints, least recently used first.
    """

    device: torch.device
    limit: int
    held: dict[FileStamp, LoadedCheckpoint] = field(default_factory=dict)

    def size(self) -> int:
        """Bytes that the checkpoints take, weights that several share counted once."""
        storages: dict[int, int] = {}
        for checkpoint in self.held.values():
            storages |= checkpoint.storages(self.device)
        return sum(storages.values())


class CheckpointPool:
    """Keeps checkpoints loaded within the limits of tiers.

    A checkpoint draws on the first tier. Where a tier is full, its least recently used checkpoint moves to the next
    one, and from the last one it goes. What is used stays whatever its size. Weights that checkpoints on one tier have
    in common are held once. Not safe to share between threads.
    """

    def __init__(self, tiers: Sequence[Tier]) -> None:
        """Begin empty.

        Args:
            tiers: From the device that draws down; at least one.
        """
        self._tiers = tuple(tiers)
        self._latest: FileStamp | None = None

    def __iter__(self) -> Iterator[LoadedCheckpoint]:
        """What is loaded, from what would go first to what would go last."""
        return iter([checkpoint for tier in reversed(self._tiers) for checkpoint in list(tier.held.values())])

    def use(
        self,
        stamp: FileStamp,
        load: Callable[[torch.device], LoadedCheckpoint],
        *,
        expected: int,
        waiting: bool = False,
    ) -> LoadedCheckpoint:
        """The checkpoint of a file, ready to draw; others make room for it.

        Args:
            stamp: The file.
            load: Reads it to a device, where it is not loaded.
            expected: Bytes that it takes, as far as they are known before it is loaded.
            waiting: Whether its weights wait on the last tier and reach the first one only while they are computed
                with.

        Raises:
            Exception: What `load` raises; the checkpoint is then not in the pool.
        """
        tier = self._tiers[-1 if waiting else 0]
        self._latest = stamp
        if stamp in tier.held:
            tier.held[stamp] = tier.held.pop(stamp)
            return tier.held[stamp]
        checkpoint = self._take(stamp)
        self._make_room(tier, expected if checkpoint is None else checkpoint.size)
        if checkpoint is None:
            checkpoint = load(tier.device)
        self._put(tier, stamp, checkpoint)
        return checkpoint

    def settle(self) -> None:
        """See that the limits hold after a picture, whose networks may have made its checkpoint larger."""
        for tier in self._tiers:
            self._make_room(tier, 0)

    def drop(self, stamp: FileStamp) -> None:
        """Let go of one checkpoint, if it is there."""
        self._take(stamp)

    def drop_all(self, chosen: Callable[[LoadedCheckpoint], bool]) -> None:
        """Let go of the checkpoints that are chosen."""
        for tier in self._tiers:
            for stamp in [stamp for stamp, checkpoint in tier.held.items() if chosen(checkpoint)]:
                del tier.held[stamp]

    def clear_device(self, *, but: FileStamp) -> None:
        """Take all checkpoints but one off the first tier: to the next one as far as there is room."""
        first = self._tiers[0]
        for stamp in [stamp for stamp in first.held if stamp != but]:
            self._move_down(first, stamp)

    def clear(self) -> None:
        """Let go of every checkpoint."""
        for tier in self._tiers:
            tier.held.clear()

    def _take(self, stamp: FileStamp) -> LoadedCheckpoint | None:
        return next((tier.held.pop(stamp) for tier in self._tiers if stamp in tier.held), None)

    def _put(self, tier: Tier, stamp: FileStamp, checkpoint: LoadedCheckpoint) -> None:
        checkpoint.move(tier.device)
        for other in tier.held.values():
            checkpoint.share_with(other)
        tier.held[stamp] = checkpoint

    def _make_room(self, tier: Tier, size: int) -> None:
        others = [stamp for stamp in tier.held if stamp != self._latest]
        while others and tier.size() + size > tier.limit:
            self._move_down(tier, others.pop(0))

    def _move_down(self, tier: Tier, stamp: FileStamp) -> None:
        """Move a checkpoint to the next tier; without one, or where it is larger than all of that, it goes."""
        checkpoint = tier.held.pop(stamp)
        below = self._tiers[self._tiers.index(tier) + 1 :]
        if not below or checkpoint.size > below[0].limit:
            log.info("%s goes and gives %.2f GB back", checkpoint.spec.id, checkpoint.size / 1e9)
            return
        self._make_room(below[0], checkpoint.size)
        log.info("%s moves from %s to %s", checkpoint.spec.id, tier.device, below[0].device)
        self._put(below[0], stamp, checkpoint)
