"""What checkpoints have in common is held once, and what a call does to one of them does not reach another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffagent_tools.backends import DiffusersBackend, MemoryBudget
from diffagent_tools.backends.sharing import share, storage_sizes
from tests.diffagent_tools.conftest import Studio
from tool_specs.calls import LoraUse, PocketCall
from tool_specs.catalog import Catalog

FIRST, SECOND = "civitai:1@101", "civitai:2@102"
LAYERS = [f"lora_te_text_model_encoder_layers_0_self_attn_{part}_proj" for part in ("q", "k", "v", "out")]


def _call(checkpoint: str, *loras: str, **changes: object) -> PocketCall:
    fields: dict[str, object] = {
        "checkpoint": checkpoint,
        "prompt": "a fox on a blue mintcolor background",
        "steps": 2,
        "width": 32,
        "height": 32,
        "seed": 7,
        "loras": tuple(LoraUse(id=lora, weight=2.0) for lora in loras),
    }
    return PocketCall.model_validate(fields | changes)


def _held(backend: DiffusersBackend) -> int:
    """Bytes behind the weights of all loaded checkpoints."""
    assert backend._engine is not None
    storages: dict[int, int] = {}
    for checkpoint in backend._engine.loaded:
        storages |= checkpoint.storages(torch.device("cpu"))
    return sum(storages.values())


@pytest.fixture
def networks(studio: Studio, tmp_path: Path) -> dict[str, str]:
    """A network of every kind that changes text encoders, by its kind."""
    random = torch.Generator().manual_seed(1)

    def tensors(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
        return {
            f"{layer}.{part}": torch.randn(shape, generator=random)
            for layer in LAYERS
            for part, shape in shapes.items()
        }

    files = {
        "adapter": tensors(**{"lora_down.weight": (4, 96), "lora_up.weight": (96, 4)}),
        "merged": tensors(hada_w1_a=(96, 4), hada_w1_b=(4, 96), hada_w2_a=(96, 4), hada_w2_b=(4, 96)),
    }
    ids = {"embedding": studio.embedding}
    for number, (kind, file) in enumerate(files.items()):
        save_file(file, tmp_path / f"{kind}.safetensors")
        ids[kind] = studio.shelf.put(40 + number, "LORA", tmp_path / f"{kind}.safetensors")
    return ids


@pytest.mark.parametrize("kind", ["adapter", "merged", "embedding", "tiling"])
def test_what_acts_on_a_checkpoint_does_not_reach_another(studio: Studio, networks: dict[str, str], kind: str) -> None:
    backend = studio.backend()
    plain = {checkpoint: backend.draw(_call(checkpoint)).image.tobytes() for checkpoint in (FIRST, SECOND)}
    changed = _call(FIRST, tiling=True) if kind == "tiling" else _call(FIRST, networks[kind])
    for _ in range(2):
        assert backend.draw(changed).image.tobytes() != plain[FIRST]
        assert backend.draw(_call(SECOND)).image.tobytes() == plain[SECOND]
    assert backend.draw(changed.model_copy(update={"checkpoint": SECOND})).image.tobytes() != plain[SECOND]
    for checkpoint, picture in plain.items():
        assert backend.draw(_call(checkpoint)).image.tobytes() == picture
    assert backend.checkpoint_loads == 2


@pytest.mark.parametrize("kind", ["adapter", "merged"])
def test_a_checkpoint_shares_with_one_that_a_network_acts_on(
    studio: Studio, networks: dict[str, str], kind: str
) -> None:
    """It takes the weights as the file has them."""
    backend = studio.backend()
    backend.draw(_call(FIRST, networks[kind]))
    before = _held(backend)
    expected = studio.backend().draw(_call(SECOND)).image.tobytes()
    assert backend.draw(_call(SECOND)).image.tobytes() == expected
    alone = studio.backend()
    alone.draw(_call(SECOND))
    assert _held(backend) - before < 0.85 * _held(alone)
    backend.draw(_call(FIRST))
    assert backend.draw(_call(SECOND)).image.tobytes() == expected


def test_what_is_shared_outlives_the_checkpoint_that_brought_it(studio: Studio) -> None:
    backend = studio.backend()
    for checkpoint in (FIRST, SECOND):
        backend.draw(_call(checkpoint))
    expected = backend.draw(_call(SECOND)).image.tobytes()
    assert backend._engine is not None
    backend._engine._pool.drop(next(iter(backend._engine._pool._tiers[0].held)))
    assert list(backend.loaded) == [SECOND]
    assert backend.draw(_call(SECOND)).image.tobytes() == expected


def test_checkpoints_that_ship_share_text_encoder_and_vae_and_draw_as_alone() -> None:
    catalog = Catalog.pocket()
    checkpoints = [spec.id for spec in catalog if spec.is_checkpoint]
    shared = DiffusersBackend(catalog, device="cpu")
    pictures = [shared.draw(_call(each)).image.tobytes() for each in checkpoints]
    together = _held(shared)
    assert len(shared.loaded) == len(checkpoints) == 4
    alone = DiffusersBackend(catalog, device="cpu", memory=MemoryBudget(ram=0))
    sizes = []
    for checkpoint, picture in zip(checkpoints, pictures, strict=True):
        assert alone.draw(_call(checkpoint)).image.tobytes() == picture
        assert list(alone.loaded) == [checkpoint]
        sizes.append(_held(alone))
    assert together < 0.87 * sum(sizes)
    assert [shared.draw(_call(each)).image.tobytes() for each in checkpoints] == pictures


@pytest.mark.parametrize(
    ("other", "is_shared"),
    [
        (lambda own: own.clone(), True),
        (lambda own: own.double(), False),
        (lambda own: own.reshape(3, 2).clone(), False),
        (lambda own: own + 1, False),
        (lambda own: torch.where(own == 0, -0.0, own), False),
        (lambda own: own.T.contiguous().T, True),
    ],
    ids=["equal", "precision", "shape", "value", "sign of zero", "layout"],
)
def test_only_equal_bits_are_shared(other: Callable[[torch.Tensor], torch.Tensor], is_shared: bool) -> None:
    parameter = torch.nn.Parameter(torch.tensor([[0.0, 1, 2], [3, 4, float("nan")]]), requires_grad=False)
    theirs = other(parameter.data)
    share([("weight", parameter)], {"weight": theirs})
    assert (parameter.data_ptr() == theirs.data_ptr()) == is_shared
    share([("unknown", parameter)], {"weight": parameter.data.clone()})
    assert len(storage_sizes([parameter.data, theirs], "cpu")) == (1 if is_shared else 2)
