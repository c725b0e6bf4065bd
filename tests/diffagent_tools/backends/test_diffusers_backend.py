from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler
from PIL.Image import Image
from safetensors.torch import load_file, save_file

from diffagent_tools.backends import Backend, DiffusersBackend, StepProgress
from tests.diffagent_tools.conftest import Studio
from tests.tiny_world import tiny_call
from tool_specs.calls import LoraUse, StableDiffusion15Call
from tool_specs.exceptions import BackendError, CallError, ConfigError, DrawingCancelled, PictureError, WeightsError

CHECKPOINT = "civitai:1@101"
OTHER_CHECKPOINT = "civitai:2@102"
LORA = "civitai:11@111"
OTHER_LORA = "civitai:12@112"
EMBEDDING = "civitai:21@121"


def _distance(left: Image, right: Image) -> float:
    return float(np.abs(np.asarray(left, dtype=float) - np.asarray(right, dtype=float)).mean())


def test_a_drawing_has_the_size_and_the_call(shared_backend: DiffusersBackend) -> None:
    drawing = shared_backend.draw(tiny_call(width=64, height=40))
    assert (drawing.image.size, drawing.image.mode) == ((64, 40), "RGB")
    assert drawing.call == tiny_call(width=64, height=40)
    assert drawing.seconds > 0
    assert isinstance(shared_backend, Backend)


def test_a_missing_seed_is_chosen_and_reported(shared_backend: DiffusersBackend) -> None:
    drawing = shared_backend.draw(tiny_call(seed=None))
    assert drawing.call.seed is not None
    assert shared_backend.draw(drawing.call).image.tobytes() == drawing.image.tobytes()
    assert shared_backend.draw(tiny_call(seed=None)).call.seed != drawing.call.seed


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ SDE Karras", "DPM++ 2M", "DDIM", "UniPC", "Heun"])
def test_the_same_seed_gives_the_same_bytes_on_another_backend(
    studio: Studio, shared_backend: DiffusersBackend, sampler: str
) -> None:
    call = tiny_call(sampler=sampler, loras=(LoraUse(id=LORA, weight=0.7),))
    first = shared_backend.draw(call).image.tobytes()
    assert first == shared_backend.draw(call).image.tobytes()
    assert first == studio.backend().draw(call).image.tobytes()
    assert first != shared_backend.draw(tiny_call(sampler=sampler, seed=8, loras=call.loras)).image.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a pear on a red background"},
        {"negative_prompt": "a cat in the snow"},
        {"cfg_scale": 9.0},
        {"steps": 5},
        {"sampler": "Euler"},
        {"checkpoint": OTHER_CHECKPOINT},
    ],
)
def test_every_parameter_changes_the_picture(shared_backend: DiffusersBackend, change: dict[str, object]) -> None:
    assert _distance(shared_backend.draw(tiny_call()).image, shared_backend.draw(tiny_call(**change)).image) > 0


def test_loras_come_and_go_without_loading_the_checkpoint_again(studio: Studio) -> None:
    backend = studio.backend()
    plain = backend.draw(tiny_call()).image
    first = backend.draw(tiny_call(loras=(LoraUse(id=LORA, weight=1.0),))).image
    second = backend.draw(tiny_call(loras=(LoraUse(id=OTHER_LORA, weight=1.0),))).image
    both = backend.draw(tiny_call(loras=(LoraUse(id=LORA, weight=1.0), LoraUse(id=OTHER_LORA, weight=0.5)))).image
    assert backend.checkpoint_loads == 1
    assert backend.loaded == {CHECKPOINT: (LORA, OTHER_LORA)}
    pictures = [plain, first, second, both]
    assert all(_distance(left, right) > 0.5 for left in pictures for right in pictures if left is not right)
    assert backend.draw(tiny_call()).image.tobytes() == plain.tobytes()
    assert backend.draw(tiny_call(loras=(LoraUse(id=LORA, weight=1.0),))).image.tobytes() == first.tobytes()


def test_a_lora_of_weight_zero_changes_nothing_and_weights_scale(shared_backend: DiffusersBackend) -> None:
    plain, none, half, full = (
        shared_backend.draw(tiny_call(loras=loras)).image
        for loras in ((), *((LoraUse(id=LORA, weight=weight),) for weight in (0.0, 0.3, 1.0)))
    )
    assert _distance(plain, none) < 0.01
    assert 0.1 < _distance(plain, half) < _distance(plain, full)
    again = tiny_call(loras=(LoraUse(id=LORA, weight=1.0),))
    assert shared_backend.draw(again).image.tobytes() == shared_backend.draw(again).image.tobytes() == full.tobytes()


def test_checkpoints_stay_loaded(studio: Studio) -> None:
    backend = studio.backend()
    for checkpoint in (CHECKPOINT, OTHER_CHECKPOINT, CHECKPOINT):
        backend.draw(tiny_call(checkpoint=checkpoint))
    assert backend.checkpoint_loads == 2
    assert list(backend.loaded) == [OTHER_CHECKPOINT, CHECKPOINT]


def test_a_file_that_was_replaced_is_loaded_again(studio: Studio, copied_weights: Path) -> None:
    spec_id = studio.shelf.put(5, "Checkpoint", copied_weights)
    backend = studio.backend()
    before = backend.draw(tiny_call(checkpoint=spec_id)).image
    copied_weights.write_bytes(studio.world.checkpoints[1].read_bytes())
    assert _distance(before, backend.draw(tiny_call(checkpoint=spec_id)).image) > 0
    assert backend.checkpoint_loads == 2


def test_an_embedding_teaches_a_word_for_one_call_only(studio: Studio) -> None:
    backend = studio.backend()
    prompt = "a cat on a mintcolor background"
    untaught = backend.draw(tiny_call(prompt=prompt)).image
    taught = backend.draw(tiny_call(prompt=prompt, loras=(LoraUse(id=EMBEDDING, weight=1.0),))).image
    assert _distance(untaught, taught) > 0
    assert backend.draw(tiny_call(prompt=prompt)).image.tobytes() == untaught.tobytes()
    again = backend.draw(tiny_call(prompt=prompt, loras=(LoraUse(id=EMBEDDING, weight=1.0),))).image
    assert again.tobytes() == taught.tobytes()


def test_an_embedding_whose_word_is_missing_is_refused(shared_backend: DiffusersBackend) -> None:
    with pytest.raises(CallError, match="put 'mintcolor' into the prompt"):
        shared_backend.draw(tiny_call(loras=(LoraUse(id=EMBEDDING, weight=1.0),)))


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Heun"])
def test_progress_is_reported_after_every_step(shared_backend: DiffusersBackend, sampler: str) -> None:
    seen: list[StepProgress] = []
    shared_backend.draw(tiny_call(sampler=sampler, steps=4), on_step=seen.append)
    total = seen[-1].total
    assert seen == [StepProgress(step, total) for step in range(1, total + 1)]
    assert total >= 4


def test_a_drawing_is_cancelled_between_two_steps(studio: Studio) -> None:
    backend = studio.backend()
    cancel = threading.Event()
    seen: list[int] = []

    def on_step(progress: StepProgress) -> None:
        seen.append(progress.step)
        if progress.step == 2:
            cancel.set()

    with pytest.raises(DrawingCancelled, match="after 2 steps"):
        backend.draw(tiny_call(steps=20), on_step=on_step, cancel=cancel)
    assert seen == [1, 2]
    with pytest.raises(DrawingCancelled, match="after 0 steps"):
        backend.draw(tiny_call(), cancel=cancel)
    cancel.clear()
    assert (
        backend.draw(tiny_call(), cancel=cancel).image.tobytes() == studio.backend().draw(tiny_call()).image.tobytes()
    )
    assert backend.checkpoint_loads == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LookupError("mine")])
def test_what_a_listener_raises_reaches_the_caller(studio: Studio, error: BaseException) -> None:
    backend = studio.backend()

    def on_step(progress: StepProgress) -> None:
        raise error

    with pytest.raises(type(error)):
        backend.draw(tiny_call(), on_step=on_step)
    assert backend.draw(tiny_call()).image.tobytes() == studio.backend().draw(tiny_call()).image.tobytes()


def test_threads_take_turns(studio: Studio) -> None:
    backend = studio.backend()
    calls = [tiny_call(seed=seed, checkpoint=spec_id) for seed in (1, 2) for spec_id in (CHECKPOINT, OTHER_CHECKPOINT)]
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        results[number] = backend.draw(calls[number]).image.tobytes()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: backend.draw(call).image.tobytes() for number, call in enumerate(calls)}
    assert backend.checkpoint_loads == 2


def _draw_with_checkpoint(studio: Studio, path: Path, base_model: str = "Pocket") -> None:
    spec_id = studio.shelf.put(5, "Checkpoint", path, base_model=base_model)
    studio.backend().draw(tiny_call(checkpoint=spec_id))


def test_a_truncated_checkpoint_is_named(studio: Studio, copied_weights: Path) -> None:
    data = copied_weights.read_bytes()
    for kept in (len(data) - 100, 5000, 4, 0):
        copied_weights.write_bytes(data[:kept])
        with pytest.raises(WeightsError, match=r"model\.safetensors .*truncated"):
            _draw_with_checkpoint(studio, copied_weights)


def test_pickles_are_refused_without_running_them(studio: Studio, tmp_path: Path) -> None:
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trap,)  # type: ignore[return-value]

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="pickle"):
        _draw_with_checkpoint(studio, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="pickle"):
        _draw_with_checkpoint(studio, path)
    torch.save({"state_dict": {}}, tmp_path / "model.ckpt")
    with pytest.raises(WeightsError, match="pickle"):
        _draw_with_checkpoint(studio, tmp_path / "model.ckpt")
    assert not trap.exists()


def test_a_missing_file_is_named(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors cannot be read"):
        _draw_with_checkpoint(studio, tmp_path / "gone.safetensors")
    lora = studio.shelf.put(15, "LORA", tmp_path / "lost.safetensors")
    with pytest.raises(WeightsError, match=r"lost\.safetensors cannot be read"):
        studio.backend().draw(tiny_call(loras=(LoraUse(id=lora, weight=1.0),)))


def test_a_file_of_another_kind_is_named(studio: Studio) -> None:
    with pytest.raises(WeightsError, match="holds lora weights, not a checkpoint"):
        _draw_with_checkpoint(studio, studio.world.loras[0])
    lora = studio.shelf.put(15, "LORA", studio.world.checkpoints[1])
    with pytest.raises(WeightsError, match="holds checkpoint weights, but civitai:15@115 is a LORA"):
        studio.backend().draw(tiny_call(loras=(LoraUse(id=lora, weight=1.0),)))


def test_a_checkpoint_of_another_family_is_named(studio: Studio, copied_weights: Path) -> None:
    tensors = {
        name: torch.zeros(*tensor.shape[:-1], 768)
        if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
        else tensor
        for name, tensor in load_file(copied_weights).items()
    }
    save_file(tensors, copied_weights)
    with pytest.raises(WeightsError, match=r"holds a sd1 checkpoint, but civitai:5@105 is Pocket"):
        _draw_with_checkpoint(studio, copied_weights)


@pytest.mark.parametrize(
    "missing",
    [
        "model.diffusion_model.out.2.weight",
        "first_stage_model.decoder.conv_in.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
    ],
)
def test_a_checkpoint_that_lacks_a_tensor_is_named(studio: Studio, copied_weights: Path, missing: str) -> None:
    tensors = load_file(copied_weights)
    del tensors[missing]
    save_file(tensors, copied_weights)
    with pytest.raises(WeightsError, match=r"model\.safetensors could not be loaded as a pocket checkpoint: "):
        _draw_with_checkpoint(studio, copied_weights)


def test_a_lora_of_another_family_is_refused_by_its_label_and_by_its_file(studio: Studio, tmp_path: Path) -> None:
    labelled = studio.shelf.put(15, "LORA", studio.world.loras[0], base_model="SD 1.5")
    with pytest.raises(CallError, match=r"civitai:15@115 does not load into civitai:1@101: .*sd1"):
        studio.backend().draw(tiny_call(loras=(LoraUse(id=labelled, weight=1.0),)))
    path = tmp_path / "wide.safetensors"
    stem = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    save_file({f"{stem}.lora_down.weight": torch.zeros(4, 768), f"{stem}.lora_up.weight": torch.zeros(320, 4)}, path)
    mislabelled = studio.shelf.put(16, "LORA", path)
    backend = studio.backend()
    with pytest.raises(WeightsError, match=r"wide\.safetensors is a lora for sd1, but .* is pocket"):
        backend.draw(tiny_call(loras=(LoraUse(id=mislabelled, weight=1.0),)))


@pytest.mark.parametrize("shape", [(4, 50), (4, 112)])
def test_a_lora_that_does_not_fit_leaves_nothing_behind(studio: Studio, tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "odd.safetensors"
    stem = "lora_unet_up_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    if shape[1] == 112:
        stem = stem.replace("up_blocks_0", "up_blocks_9")
    save_file({f"{stem}.lora_down.weight": torch.ones(shape), f"{stem}.lora_up.weight": torch.ones(112, 4)}, path)
    odd = studio.shelf.put(17, "LORA", path)
    backend = studio.backend()
    plain = backend.draw(tiny_call()).image
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        backend.draw(tiny_call(loras=(LoraUse(id=odd, weight=1.0),)))
    assert backend.loaded == {CHECKPOINT: ()}
    assert backend.draw(tiny_call()).image.tobytes() == plain.tobytes()
    good = tiny_call(loras=(LoraUse(id=LORA, weight=1.0),))
    expected = studio.backend().draw(good).image.tobytes()
    assert backend.draw(good).image.tobytes() == expected
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        backend.draw(tiny_call(loras=(*good.loras, LoraUse(id=odd, weight=1.0))))
    assert backend.draw(good).image.tobytes() == expected
    assert backend.draw(tiny_call()).image.tobytes() == plain.tobytes()


def test_a_lora_of_the_text_encoder_acts(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "words.safetensors"
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}
    for part in ("q", "k", "v", "out"):
        stem = f"lora_te_text_model_encoder_layers_0_self_attn_{part}_proj"
        tensors[f"{stem}.lora_down.weight"] = torch.randn(4, 96, generator=generator)
        tensors[f"{stem}.lora_up.weight"] = torch.randn(96, 4, generator=generator)
        tensors[f"{stem}.alpha"] = torch.tensor(4.0)
    save_file(tensors, path)
    words = studio.shelf.put(18, "LORA", path)
    backend = studio.backend()
    plain = backend.draw(tiny_call()).image
    assert _distance(plain, backend.draw(tiny_call(loras=(LoraUse(id=words, weight=2.0),))).image) > 0
    both = tiny_call(loras=(LoraUse(id=words, weight=2.0), LoraUse(id=LORA, weight=1.0)))
    assert _distance(plain, backend.draw(both).image) > 0.5
    style = tiny_call(loras=(LoraUse(id=LORA, weight=1.0),))
    assert backend.draw(style).image.tobytes() == studio.backend().draw(style).image.tobytes()
    assert backend.draw(tiny_call()).image.tobytes() == plain.tobytes()


def test_few_loras_stay_loaded(studio: Studio, tmp_path: Path) -> None:
    ids = []
    for number in range(8):
        path = tmp_path / f"copy{number}.safetensors"
        path.write_bytes(studio.world.loras[number % 2].read_bytes())
        ids.append(studio.shelf.put(30 + number, "LORA", path))
    backend = studio.backend()
    for spec_id in ids:
        backend.draw(tiny_call(steps=1, loras=(LoraUse(id=spec_id, weight=1.0),)))
    assert backend.loaded == {CHECKPOINT: tuple(ids[-6:])}
    first = tiny_call(steps=1, loras=(LoraUse(id=ids[0], weight=1.0),))
    assert backend.draw(first).image.tobytes() == studio.backend().draw(first).image.tobytes()


def test_values_that_are_not_numbers_are_a_failure(studio: Studio, copied_weights: Path) -> None:
    tensors = load_file(copied_weights)
    tensors["first_stage_model.decoder.conv_out.bias"].fill_(float("nan"))
    save_file(tensors, copied_weights)
    with pytest.raises(PictureError, match="not numbers at 32x32"):
        _draw_with_checkpoint(studio, copied_weights)


def test_models_that_do_not_exist_or_cannot_draw_are_refused(studio: Studio) -> None:
    foreign = studio.shelf.put(6, "Checkpoint", studio.world.checkpoints[0], base_model="PixArt a")
    other = studio.shelf.put(7, "Checkpoint", studio.world.checkpoints[0], base_model="SD 1.5")
    backend = studio.backend()
    with pytest.raises(CallError, match="civitai:99@199"):
        backend.draw(tiny_call(checkpoint="civitai:99@199"))
    with pytest.raises(CallError, match="is a LORA; a call draws with a Checkpoint"):
        backend.draw(tiny_call(checkpoint=LORA))
    with pytest.raises(BackendError, match=r"is 'PixArt a'; the diffusers backend draws pocket, sd15, sd2, sdxl"):
        backend.draw(tiny_call(checkpoint=foreign))
    with pytest.raises(CallError, match="the call is for 'pocket', but civitai:7@107 is 'sd15'"):
        backend.draw(tiny_call(checkpoint=other))


def test_weights_that_do_not_ship_need_a_files_function(studio: Studio) -> None:
    sd15 = studio.shelf.put(8, "Checkpoint", studio.world.checkpoints[0], base_model="SD 1.5")
    backend = DiffusersBackend(studio.shelf.catalog, device="cpu")
    with pytest.raises(WeightsError, match="are not on this machine"):
        backend.draw(StableDiffusion15Call(checkpoint=sd15, prompt="a fox"))


def test_an_unknown_device_is_refused(studio: Studio) -> None:
    for device in ("cuda:77", "abacus"):
        backend = DiffusersBackend(studio.shelf.catalog, device=device, files=studio.shelf.file_of)
        with pytest.raises(ConfigError, match=f"the device '{device}' cannot be used here"):
            backend.draw(tiny_call())


def test_a_config_folder_that_is_none_is_named(studio: Studio, tmp_path: Path) -> None:
    backend = DiffusersBackend(
        studio.shelf.catalog, device="cpu", files=studio.shelf.file_of, configs={"pocket": tmp_path}
    )
    with pytest.raises(BackendError, match=r"has no model_index\.json"):
        backend.draw(tiny_call())


def test_nothing_is_printed(studio: Studio, capfd: pytest.CaptureFixture[str]) -> None:
    backend = studio.backend()
    for loras in (
        (),
        (LoraUse(id=LORA, weight=1.0),),
        (LoraUse(id=LORA, weight=1.0), LoraUse(id=OTHER_LORA, weight=1.0)),
    ):
        backend.draw(tiny_call(loras=loras, prompt="a fox " * 60))
    assert capfd.readouterr() == ("", "")


def test_importing_the_backends_loads_no_torch() -> None:
    code = (
        "import sys, diffagent_tools.backends as b, diffagent_tools.rewards, diffagent_tools.artifacts; b.Drawing; "
        "b.DiffusersBackend; print(sorted({'torch', 'diffusers', 'transformers', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_fresh_process_prints_nothing(studio: Studio) -> None:
    code = f"""
from pathlib import Path
from diffagent_tools.backends import DiffusersBackend
from tool_specs.calls import PocketCall
from tool_specs.catalog import Catalog
file = {{"id": 1, "name": "m.safetensors", "type": "Model", "sizeKB": 9, "metadata": {{"format": "SafeTensor"}}}}
version = {{"id": 101, "name": "v1", "baseModel": "Pocket", "files": [file]}}
catalog = Catalog.from_records([{{"id": 1, "name": "Tiny", "type": "Checkpoint", "modelVersions": [version]}}])
backend = DiffusersBackend(
    catalog,
    device="cpu",
    files=lambda spec: Path({str(studio.world.checkpoints[0])!r}),
    configs={{"pocket": Path({str(studio.world.config)!r})}},
)
assert backend.draw(PocketCall(checkpoint="civitai:1@101", prompt="a fox", steps=2)).image.size == (64, 64)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _short_of_memory(monkeypatch: pytest.MonkeyPatch, *, enough: Callable[[AutoencoderKL], bool]) -> None:
    """The VAE finds no memory for a picture, unless there is enough for the way in which it works."""
    decode = AutoencoderKL.decode

    def failing(vae: AutoencoderKL, *args: object, **kwargs: object) -> object:
        if not enough(vae):
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(msg)
        return decode(vae, *args, **kwargs)

    monkeypatch.setattr(AutoencoderKL, "decode", failing)


def test_out_of_memory_is_drawn_again_with_less(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend = studio.backend()
    backend.draw(tiny_call(checkpoint=OTHER_CHECKPOINT))
    expected = backend.draw(tiny_call()).image.tobytes()
    _short_of_memory(monkeypatch, enough=lambda vae: vae.use_tiling)
    assert backend.draw(tiny_call()).image.tobytes() == expected
    assert list(backend.loaded) == [CHECKPOINT]
    said = [(each.levelname, each.message) for each in caplog.records if "out of memory" in each.message]
    start = "out of memory while drawing 1 of civitai:1@101 at 32x32 (CUDA out of memory. Tried to allocate 2.00 GiB)"
    assert said == [
        ("WARNING", f"{start}: drawn again, with no other checkpoint on the device, 1 together"),
        ("WARNING", f"{start}: drawn again, the VAE in slices and tiles, 1 together"),
    ]


def test_where_even_that_is_too_much_only_the_call_fails(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = studio.backend()
    expected = backend.draw(tiny_call()).image.tobytes()
    with monkeypatch.context() as short:
        _short_of_memory(short, enough=lambda _: False)
        with pytest.raises(BackendError, match=r"out of memory while drawing civitai:1@101 at 32x32 .*; draw smaller"):
            backend.draw(tiny_call())
        assert not backend.loaded
    assert backend.draw(tiny_call()).image.tobytes() == expected


def test_a_scheduler_that_raises_in_mid_run_fails_only_that_call(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = studio.backend()
    expected = backend.draw(tiny_call(sampler="Euler")).image.tobytes()
    steps: list[StepProgress] = []
    step = EulerDiscreteScheduler.step

    def failing(scheduler: EulerDiscreteScheduler, *args: object, **kwargs: object) -> object:
        if len(steps) == 2:
            msg = "index 3 is out of bounds"
            raise IndexError(msg)
        return step(scheduler, *args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(EulerDiscreteScheduler, "step", failing)
        with pytest.raises(BackendError, match="with Euler, 3 steps at 32x32 failed: IndexError: index 3 is out of"):
            backend.draw(tiny_call(sampler="Euler"), on_step=steps.append)
    assert len(steps) == 2
    assert backend.draw(tiny_call(sampler="Euler")).image.tobytes() == expected
