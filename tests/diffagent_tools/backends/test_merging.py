from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.backends.merging import MergedNetworks
from diffagent_tools.backends.networks import Network
from diffagent_tools.ldm import unet_keys
from tests.diffagent_tools.conftest import Studio
from tests.lycoris_layers import KERNEL_KINDS, KINDS, LycorisLayer, Matrix, difference, dora, low_rank
from tests.tiny_families import assert_alike, build_sd15, build_sdxl, drawn_by_hand
from tests.tiny_world import Shelf, tiny_spec
from tool_specs.calls import Call, LoraUse, PocketCall, StableDiffusion15Call, StableDiffusionXLCall
from tool_specs.exceptions import WeightsError

Pipeline = StableDiffusionPipeline | StableDiffusionXLPipeline
Kind = Callable[[LycorisLayer], Matrix]

LINEAR = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
POINTWISE = "mid_block.attentions.0.proj_in"
CONVOLUTION = "down_blocks.1.resnets.0.conv2"
OTHERS = (
    "conv_in",
    "up_blocks.0.upsamplers.0.conv",
    "down_blocks.0.downsamplers.0.conv",
    "up_blocks.1.resnets.1.conv1",
)


@dataclass(frozen=True)
class Family:
    """A tiny family and how kohya names its layers."""

    pipeline: Pipeline
    folder: Path
    base_model: str

    @property
    def is_xl(self) -> bool:
        """Whether it is SDXL, whose layers kohya names as the original code does."""
        return self.base_model != "SD 1.5"

    def kohya(self, layer: str) -> str:
        """kohya's name of a layer of the UNet."""
        path = unet_keys(self.pipeline.unet)[f"{layer}.weight"].removesuffix(".weight") if self.is_xl else layer
        return "lora_unet_" + path.replace(".", "_")

    def network(self, number: int, path: Path, weight: float) -> Network:
        """A network of this family."""
        return Network(tiny_spec(number, "LoCon", path, base_model=self.base_model), path, weight)

    def merged(self) -> MergedNetworks:
        """What merges into this pipeline."""
        checkpoint = tiny_spec(1, "Checkpoint", self.folder / "model.safetensors", base_model=self.base_model)
        return MergedNetworks(self.pipeline, checkpoint)


@pytest.fixture(scope="module", params=["SD 1.5", "SDXL 1.0"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    build = {"SD 1.5": build_sd15, "SDXL 1.0": build_sdxl}[request.param]
    return Family(*build(tmp_path_factory.mktemp("family")), request.param)


def _layer(module: torch.nn.Module, kind: Kind, seed: int) -> tuple[dict[str, Tensor], Matrix]:
    """The tensors of a layer of this kind, and what it adds to the module's weight."""
    layer = LycorisLayer(module.weight.detach().double().numpy(), torch.Generator().manual_seed(seed))
    change = kind(layer)
    return layer.parts, change


def _write(path: Path, layers: dict[str, dict[str, Tensor]]) -> Path:
    save_file(
        {f"{name}.{part}": tensor.contiguous() for name, parts in layers.items() for part, tensor in parts.items()},
        path,
    )
    return path


@contextmanager
def _changed(changes: dict[torch.nn.Parameter, Matrix | Tensor]) -> Iterator[None]:
    """Parameters with something added to them, for as long as it takes."""
    saved = {parameter: parameter.detach().clone() for parameter in changes}
    with torch.no_grad():
        for parameter, change in changes.items():
            parameter.add_(torch.as_tensor(change).to(parameter.dtype).reshape(parameter.shape))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in saved.items():
                parameter.copy_(before)


def _bits(pipeline: Pipeline) -> dict[str, Tensor]:
    return {
        f"{component}.{name}": tensor.clone()
        for component in ("unet", "text_encoder", "text_encoder_2")
        if getattr(pipeline, component, None) is not None
        for name, tensor in getattr(pipeline, component).state_dict().items()
    }


CASES = [(kind, place) for kind in KINDS for place in (LINEAR, POINTWISE, CONVOLUTION)]
CASES += [(kind, CONVOLUTION) for kind in KERNEL_KINDS]


@pytest.mark.parametrize(("kind", "place"), CASES)
def test_every_kind_of_layer_is_merged_as_by_hand(family: Family, tmp_path: Path, kind: str, place: str) -> None:
    module = family.pipeline.unet.get_submodule(place)
    parts, change = _layer(module, (KINDS | KERNEL_KINDS)[kind], seed=5)
    path = _write(tmp_path / "one.safetensors", {family.kohya(place): parts})
    before = module.weight.detach().clone()
    merged = family.merged()
    for weight in (1.0, 0.4, -0.7):
        merged.act([family.network(2, path, weight)])
        expected = before.double().numpy() + weight * change
        np.testing.assert_allclose(module.weight.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(change).max() > 0.05
    merged.act([])
    assert torch.equal(module.weight, before)


def test_networks_add_up_in_any_order_and_come_out_to_the_last_bit(family: Family, tmp_path: Path) -> None:
    before = _bits(family.pipeline)
    names = (LINEAR, CONVOLUTION, *OTHERS)
    networks, total = [], dict.fromkeys(names, np.zeros(()))
    for number, (kind, weight) in enumerate(((dora, 0.5), (KINDS["hadamard"], -0.8), (difference, 1.3))):
        layers = {}
        for name in names:
            parts, change = _layer(family.pipeline.unet.get_submodule(name), kind, seed=number)
            layers[family.kohya(name)] = parts
            total[name] = total[name] + weight * change
        path = _write(tmp_path / f"{number}.safetensors", layers)
        networks.append(family.network(number + 2, path, weight))
    merged = family.merged()
    for order in (networks, networks[::-1]):
        merged.act(order)
        assert merged.ids == tuple(network.spec.id for network in order)
        for name in names:
            found = family.pipeline.unet.get_submodule(name).weight.detach().numpy()
            expected = before[f"unet.{name}.weight"].double().numpy() + total[name]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    merged.act(networks[:1])
    merged.act([])
    after = _bits(family.pipeline)
    assert merged.ids == ()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_biases_norms_and_text_encoders_are_merged(family: Family, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    unet, encoder = family.pipeline.unet, family.pipeline.text_encoder
    norm, convolution = unet.get_submodule("mid_block.resnets.0.norm1"), unet.get_submodule("conv_out")
    words = next(module for name, module in encoder.named_modules() if name.endswith("layers.1.self_attn.q_proj"))
    deltas = [
        torch.randn(shape, generator=generator)
        for shape in (norm.weight.shape, norm.bias.shape, convolution.bias.shape)
    ]
    parts, change = _layer(words, KINDS["kronecker"], seed=1)
    path = _write(
        tmp_path / "many.safetensors",
        {
            family.kohya("mid_block.resnets.0.norm1"): {"w_norm": deltas[0], "b_norm": deltas[1]},
            family.kohya("conv_out"): {"diff_b": deltas[2]},
            f"lora_te{'1' if family.is_xl else ''}_text_model_encoder_layers_1_self_attn_q_proj": parts,
        },
    )
    changed = {norm.weight: deltas[0], norm.bias: deltas[1], convolution.bias: deltas[2], words.weight: change}
    expected = {weight: weight.detach() + 0.5 * torch.as_tensor(delta) for weight, delta in changed.items()}
    merged = family.merged()
    merged.act([family.network(2, path, 0.5)])
    for weight, value in expected.items():
        torch.testing.assert_close(weight.detach(), value.float(), rtol=1e-4, atol=1e-5)
    merged.act([])


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ({"lora_unet_nowhere": {"diff": torch.ones(3, 3)}}, r"1 of 1 layers of .*odd\.safetensors do not fit"),
        (
            {"lora_unet_conv_in": {"diff": torch.ones(3, 3)}},
            r"layer 'lora_unet_conv_in' of .*odd\.safetensors does not",
        ),
        ({"lora_unet_conv_in": {"hada_w1_b": torch.ones(3, 3)}}, "does not fit"),
        (
            {"lora_unet_conv_in": {"diff": torch.ones(16, 4, 3, 3), "what": torch.ones(1)}},
            "'lora_unet_conv_in.what' is",
        ),
        ({LINEAR.replace(".", "_"): {"diff_b": torch.ones(32)}}, "changes the bias"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    family: Family, tmp_path: Path, layers: dict[str, dict[str, Tensor]], reason: str
) -> None:
    before = _bits(family.pipeline)
    parts, _ = _layer(family.pipeline.unet.get_submodule(CONVOLUTION), KINDS["hadamard"], seed=1)
    good = _write(tmp_path / "good.safetensors", {family.kohya(CONVOLUTION): parts})
    odd = _write(
        tmp_path / "odd.safetensors",
        {name if name.startswith("lora_") else f"lora_unet_{name}": parts for name, parts in layers.items()},
    )
    merged = family.merged()
    merged.act([family.network(2, good, 1.0)])
    with pytest.raises(WeightsError, match=reason):
        merged.act([family.network(2, good, 1.0), family.network(3, odd, 1.0)])
    after = _bits(family.pipeline)
    assert merged.ids == ()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_half_precision_weights_are_changed_in_full_precision(tmp_path: Path) -> None:
    pipeline, folder = build_sd15(tmp_path)
    pipeline.unet.half()
    family = Family(pipeline, folder, "SD 1.5")
    module = pipeline.unet.get_submodule(LINEAR)
    before = module.weight.detach().clone()
    paths = []
    for number in (1, 2):
        delta = torch.full_like(before, 2.0**-12, dtype=torch.float32) * before.float().abs()
        paths.append(_write(tmp_path / f"{number}.safetensors", {family.kohya(LINEAR): {"diff": delta * number}}))
    merged = family.merged()
    merged.act([family.network(number, path, 1.0) for number, path in enumerate(paths, 2)])
    assert torch.equal(module.weight, (before.float() + 3 * 2.0**-12 * before.float().abs()).half())
    assert not torch.equal(module.weight, before)
    merged.act([])
    assert torch.equal(module.weight, before)


def _call(family: Family, checkpoint: str, **changes: object) -> Call:
    model, size = (StableDiffusionXLCall, 512) if family.is_xl else (StableDiffusion15Call, 256)
    fields = {"checkpoint": checkpoint, "prompt": "a fox", "steps": 1, "width": size, "height": size, "seed": 1}
    return model.model_validate(fields | changes)


def test_pictures_are_those_of_weights_merged_by_hand(family: Family, tmp_path: Path) -> None:
    """A LoCon of layers with their own rank and alpha, a LoHa, a DoRA and a LoKr at once."""
    unet = family.pipeline.unet
    mixed, change_of = {}, {}
    for number, name in enumerate((LINEAR, LINEAR.replace("attn2.to_k", "attn1.to_q"), CONVOLUTION, *OTHERS)):
        module = unet.get_submodule(name)
        parts, change = _layer(module, low_rank, seed=number)
        parts["alpha"] = torch.tensor(2.0 + number)
        mixed[family.kohya(name)] = parts
        change_of[module.weight] = 0.9 * change * (2.0 + number) / 2.0
    files = [_write(tmp_path / "locon.safetensors", mixed)]
    for kind, name, weight in (("hadamard", CONVOLUTION, 0.7), ("dora", POINTWISE, 0.5), ("kronecker", LINEAR, -0.6)):
        module = unet.get_submodule(name)
        parts, change = _layer(module, KINDS[kind], seed=7)
        change_of[module.weight] = change_of.get(module.weight, 0) + weight * change
        files.append(_write(tmp_path / f"{kind}.safetensors", {family.kohya(name): parts}))
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", family.folder / "model.safetensors", base_model=family.base_model)
    uses = tuple(
        LoraUse(id=shelf.put(number, "LoCon", path, base_model=family.base_model), weight=weight)
        for number, (path, weight) in enumerate(zip(files, (0.9, 0.7, 0.5, -0.6), strict=True), 2)
    )
    call = _call(family, checkpoint)
    backend = DiffusersBackend(
        shelf.catalog, device="cpu", files=shelf.file_of, configs={call.family: family.folder / "config"}
    )
    plain = backend.draw(call).image
    styled = backend.draw(call.model_copy(update={"loras": uses})).image
    assert backend.loaded == {checkpoint: tuple(use.id for use in uses)}
    assert backend.draw(call).image.tobytes() == plain.tobytes()
    with _changed(change_of):
        assert_alike(styled, drawn_by_hand(family.pipeline, call, prompt="a fox"))
    distance = np.abs(np.asarray(styled, dtype=int) - np.asarray(plain, dtype=int)).mean()
    assert distance > 3


def test_merged_networks_and_adapters_take_turns(studio: Studio, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    stem = "lora_unet_up_blocks_0_attentions_1_transformer_blocks_0_attn2_to_k"
    parts = {f"hada_w{n}_{side}": torch.randn(shape, generator=generator) for n in (1, 2) for side, shape in
             (("a", (112, 4)), ("b", (4, 96)))}  # fmt: skip
    loha = studio.shelf.put(31, "LoCon", _write(tmp_path / "loha.safetensors", {stem: parts}))
    adapter = studio.loras[0]
    calls = [
        PocketCall(
            checkpoint=studio.checkpoints[0],
            prompt="a fox on a blue background",
            steps=3,
            width=32,
            height=32,
            seed=7,
            loras=tuple(LoraUse(id=spec_id, weight=0.8) for spec_id in ids),
        )
        for ids in ((), (loha,), (adapter,), (loha, adapter))
    ]
    fresh = [studio.backend().draw(call).image.tobytes() for call in calls]
    assert len(set(fresh)) == 4
    backend = studio.backend()
    for number in (3, 0, 1, 2, 1, 3, 2, 0):
        assert backend.draw(calls[number]).image.tobytes() == fresh[number]
    assert backend.checkpoint_loads == 1
