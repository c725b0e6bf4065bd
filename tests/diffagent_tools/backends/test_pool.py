from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from diffagent_tools.backends.checkpoints import LoadedCheckpoint
from diffagent_tools.backends.networks import FileStamp
from diffagent_tools.backends.pool import CheckpointPool, Tier
from tool_specs.catalog import Catalog
from tool_specs.configs import config_of
from tool_specs.exceptions import WeightsError
from tool_specs.pocket import pocket_file
from tool_specs.spec import ToolSpec

DEVICE, RAM = torch.device("cpu", 0), torch.device("cpu")
"""The same memory under two names, between which checkpoints really move."""
WHOLE = 21_260_000
"""Bytes of a pocket checkpoint in float32, roughly …"""
ALONE = 17_240_000
"""… and without its VAE and text encoder, which all of them share."""


class Shelf:
    """Loads the pocket checkpoints that ship, and remembers which."""

    def __init__(self) -> None:
        self.specs = [spec for spec in Catalog.pocket() if spec.is_checkpoint]
        self.read: list[int] = []

    def use(self, pool: CheckpointPool, number: int, *, waiting: bool = False) -> LoadedCheckpoint:
        spec = self.specs[number]
        assert spec.primary_file is not None
        path = pocket_file(spec.primary_file.name)

        def load(device: torch.device) -> LoadedCheckpoint:
            self.read.append(number)
            return LoadedCheckpoint(spec, path, config=config_of(spec), device=device, dtype=torch.float32)

        return pool.use(FileStamp.of(path), load, expected=WHOLE, waiting=waiting)

    def numbers(self, checkpoints: Callable[[], object] | CheckpointPool | Tier) -> list[int]:
        held = checkpoints.held.values() if isinstance(checkpoints, Tier) else checkpoints
        ids = [spec.id for spec in self.specs]
        return [ids.index(checkpoint.spec.id) for checkpoint in held]  # type: ignore[union-attr]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_the_least_recently_used_moves_to_ram_and_then_goes(shelf: Shelf) -> None:
    """Room for two on the device, and for one in RAM."""
    tiers = [Tier(DEVICE, 2 * WHOLE), Tier(RAM, WHOLE)]
    pool = CheckpointPool(tiers)
    for number in (0, 1, 2):
        shelf.use(pool, number)
    assert [shelf.numbers(tier) for tier in tiers] == [[1, 2], [0]]
    shelf.use(pool, 3)
    assert [shelf.numbers(tier) for tier in tiers] == [[2, 3], [1]]
    assert shelf.numbers(pool) == [1, 2, 3]
    shelf.use(pool, 1)
    assert [shelf.numbers(tier) for tier in tiers] == [[3, 1], [2]]
    shelf.use(pool, 3)
    assert [shelf.numbers(tier) for tier in tiers] == [[1, 3], [2]]
    assert shelf.read == [0, 1, 2, 3]
    shelf.use(pool, 0)
    assert shelf.read == [0, 1, 2, 3, 0]


def test_what_checkpoints_have_in_common_counts_once(shelf: Shelf) -> None:
    tier = Tier(RAM, 10 * WHOLE)
    pool = CheckpointPool([tier])
    first = shelf.use(pool, 0)
    assert tier.size() == first.size == pytest.approx(WHOLE, rel=0.01)
    for number in (1, 2, 3):
        shelf.use(pool, number)
    assert tier.size() == pytest.approx(WHOLE + 3 * ALONE, rel=0.01)
    assert first.size == pytest.approx(WHOLE, rel=0.01)


def test_room_is_made_before_a_checkpoint_is_read(shelf: Shelf) -> None:
    """Sharing is found out later: two would have room, but for as long as the third is read it is there as a whole."""
    tier = Tier(RAM, WHOLE + ALONE)
    pool = CheckpointPool([tier])
    shelf.use(pool, 0)
    shelf.use(pool, 1)
    assert shelf.numbers(pool) == [1]


def test_what_is_used_stays_whatever_its_size(shelf: Shelf) -> None:
    tiers = [Tier(DEVICE, 1), Tier(RAM, 1)]
    pool = CheckpointPool(tiers)
    for number in (0, 1):
        shelf.use(pool, number)
        pool.settle()
        assert [shelf.numbers(tier) for tier in tiers] == [[number], []]


def test_weights_that_wait_in_ram_make_room_there(shelf: Shelf) -> None:
    tiers = [Tier(DEVICE, WHOLE), Tier(RAM, WHOLE)]
    pool = CheckpointPool(tiers)
    shelf.use(pool, 0)
    shelf.use(pool, 1)
    assert [shelf.numbers(tier) for tier in tiers] == [[1], [0]]
    shelf.use(pool, 1, waiting=True)
    assert [shelf.numbers(tier) for tier in tiers] == [[], [1]]
    shelf.use(pool, 1)
    assert [shelf.numbers(tier) for tier in tiers] == [[1], []]
    assert shelf.read == [0, 1]


def test_the_device_can_be_cleared_for_one(shelf: Shelf) -> None:
    tiers = [Tier(DEVICE, 9 * WHOLE), Tier(RAM, WHOLE)]
    pool = CheckpointPool(tiers)
    for number in (0, 1, 2):
        shelf.use(pool, number)
    assert tiers[0].held
    pool.clear_device(but=list(tiers[0].held)[2])
    assert [shelf.numbers(tier) for tier in tiers] == [[2], [1]]


def test_a_checkpoint_that_cannot_be_loaded_is_not_in_the_pool(shelf: Shelf, tmp_path: Path) -> None:
    pool = CheckpointPool([Tier(RAM, 9 * WHOLE)])
    shelf.use(pool, 0)
    path = tmp_path / "empty.safetensors"
    path.touch()

    def load(device: torch.device, spec: ToolSpec = shelf.specs[0]) -> LoadedCheckpoint:
        return LoadedCheckpoint(spec, path, config=config_of(spec), device=device, dtype=torch.float32)

    with pytest.raises(WeightsError, match="truncated"):
        pool.use(FileStamp.of(path), load, expected=WHOLE)
    assert shelf.numbers(pool) == [0]
