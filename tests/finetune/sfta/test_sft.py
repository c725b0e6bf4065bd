from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from diffagent_tools.chat_models.template_variables import record_variables, recorded_variables
from finetune.sfta.logs import LogRow, read_log
from finetune.sfta.runs import LoraSettings
from finetune.sfta.sft import SFTSettings, encoded, train_sft
from finetune.sfta.sft_trainer import CompletionTrainer
from tests.finetune.sfta.tiny_planner import sample_rows, write_jsonl
from tool_specs.exceptions import ConfigError, WeightsError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(planner: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("data") / "train.jsonl", sample_rows(planner, 40))


@pytest.fixture
def settings(planner: Path, data: Path, tmp_path: Path) -> Callable[..., SFTSettings]:
    def make(**others: object) -> SFTSettings:
        given = {
            "model": str(planner), "data": data, "out": tmp_path / "run", "max_steps": 6, "learning_rate": 3e-3,
            "batch_size": 4, "log_steps": 1, "save_steps": 2, "eval_steps": 3, "bf16": False,
        }  # fmt: skip
        return SFTSettings.model_validate({**given, **others})

    return make


def losses(rows: list[LogRow]) -> dict[int, float]:
    return {row.step: row.loss for row in rows if row.loss is not None}


def test_full_fine_tuning_learns_and_leaves_a_model_with_a_card(
    planner: Path, data: Path, settings: Callable[..., SFTSettings]
) -> None:
    given = settings(max_steps=20, eval_data=data, save_steps=10, eval_steps=10)

    folder = train_sft(given)

    log = read_log(given.out / "log.jsonl")
    assert losses(log)[20] < 0.8 * losses(log)[1]
    assert [row.step for row in log if row.eval_loss is not None] == [10, 20]
    assert all(row.tokens > 0 and row.seconds > 0 for row in log)
    assert folder == given.out / "model"
    assert sorted(path.name for path in given.out.iterdir()) == ["log.jsonl", "model", "run.json"]
    assert not list(folder.glob("*.bin"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(planner).chat_template
    card = (folder / "README.md").read_text(encoding="utf-8")
    for said in (
        "seed: 0",
        "learning_rate: 0.003",
        "diffagent-train sft",
        "SHA-256",
        "torch",
        f"| 20 | {losses(log)[20]:.4f}",
    ):
        assert said in card
    before, after = (AutoModelForCausalLM.from_pretrained(place) for place in (planner, folder))
    assert not torch.equal(before.model.embed_tokens.weight, after.model.embed_tokens.weight)
    assert after.config._attn_implementation == "sdpa"


def test_adapter_leaves_the_base_alone(settings: Callable[..., SFTSettings]) -> None:
    given = settings(lora=LoraSettings(rank=4, alpha=8), gradient_checkpointing=True, bf16=True, learning_rate=3e-2)

    folder = train_sft(given)

    log = losses(read_log(given.out / "log.jsonl"))
    assert log[6] < 0.95 * log[1]

    names = {path.name for path in folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "base.json", "tokenizer.json", "README.md"} <= names
    assert "model.safetensors" not in names


def test_first_loss_is_that_of_the_completions_alone(
    planner: Path, data: Path, settings: Callable[..., SFTSettings]
) -> None:
    given = settings(max_steps=1, batch_size=40)
    train_sft(given)

    tokenizer = AutoTokenizer.from_pretrained(planner)
    model = AutoModelForCausalLM.from_pretrained(planner).eval()
    total, count = 0.0, 0
    for line in data.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompt, completion = (
            tokenizer(row[part], add_special_tokens=False).input_ids for part in ("prompt", "completion")
        )
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0]
        foretold = logits[len(prompt) - 1 : -1]
        total += functional.cross_entropy(foretold, torch.tensor(completion), reduction="sum").item()
        count += len(completion)
    assert losses(read_log(given.out / "log.jsonl"))[1] == pytest.approx(total / count, rel=1e-4)


def test_loss_and_gradient_are_those_of_trl(planner: Path, data: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(planner)
    rows: Dataset = encoded(data, tokenizer, 1024)
    trainer = CompletionTrainer(
        lengths=list(rows["length"]),
        model=AutoModelForCausalLM.from_pretrained(planner),
        args=SFTConfig(str(tmp_path), use_cpu=True, bf16=False, max_length=None, report_to="none",
                       dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=rows,
        processing_class=tokenizer,
    )  # fmt: skip
    batch = trainer.data_collator([rows[place] for place in (0, 17, 39)])
    told = []
    for kind in (CompletionTrainer, SFTTrainer):
        trainer.model.zero_grad()
        loss = kind.compute_loss(trainer, trainer.model, dict(batch), num_items_in_batch=torch.tensor(50))
        loss.backward()
        told.append((loss.item(), trainer.model.model.layers[0].mlp.up_proj.weight.grad.clone()))

    (ours, our_gradient), (theirs, their_gradient) = told
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert torch.allclose(our_gradient, their_gradient, rtol=1e-3, atol=1e-6)


def test_bfloat16_comes_to_the_same_within_its_precision(settings: Callable[..., SFTSettings], tmp_path: Path) -> None:
    wide, narrow = (settings(bf16=bf16, out=tmp_path / str(bf16)) for bf16 in (False, True))
    train_sft(wide)
    folder = train_sft(narrow)

    expected, found = (losses(read_log(given.out / "log.jsonl")) for given in (wide, narrow))
    assert found == pytest.approx(expected, rel=0.02)
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.float32


def test_accumulated_batches_are_one_batch(settings: Callable[..., SFTSettings], tmp_path: Path) -> None:
    whole = settings(batch_size=8, out=tmp_path / "whole")
    parts = settings(batch_size=2, grad_accumulation=4, out=tmp_path / "parts")
    train_sft(whole)
    train_sft(parts)

    expected, found = (losses(read_log(given.out / "log.jsonl")) for given in (whole, parts))
    assert found == pytest.approx(expected, rel=1e-3)


def test_samples_that_are_too_long_are_counted_and_refused(settings: Callable[..., SFTSettings]) -> None:
    with pytest.raises(
        ConfigError, match=r"\d+ of 40 samples in .* are longer than max_length=200 .* raise max_length"
    ):
        train_sft(settings(max_length=200))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "are empty"),
        ('{"id": "1", "prompt": "a"}', "line 1 of .* completion is missing"),
        ('{"id": "1", "prompt": "a", "completion": ""}', "line 1 of .* is empty"),
        ("nonsense", "line 1 of"),
    ],
)
def test_bad_data_are_refused(settings: Callable[..., SFTSettings], tmp_path: Path, line: str, said: str) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text(line, encoding="utf-8")

    with pytest.raises(ConfigError, match=said):
        train_sft(settings(data=data))


def test_what_is_not_there_is_named(settings: Callable[..., SFTSettings], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.jsonl cannot be read"):
        train_sft(settings(data=tmp_path / "nothing.jsonl"))
    (tmp_path / "hollow").mkdir()
    with pytest.raises(WeightsError, match="hollow"):
        train_sft(settings(model=str(tmp_path / "hollow")))


def test_variables_of_the_template_stay_with_the_model(
    planner: Path, settings: Callable[..., SFTSettings], tmp_path: Path
) -> None:
    """Those of the rows; where no row tells any, those of the model that is trained."""
    known = Path(shutil.copytree(planner, tmp_path / "known"))
    record_variables(known, {"day": "Monday"})
    rows = sample_rows(planner, 8)
    for told, kept in ((None, {"day": "Monday"}), ({"day": "Sunday"}, {"day": "Sunday"}), ({}, None)):
        data = write_jsonl(tmp_path / "rows.jsonl", [*rows[:2], *({**row, "template": told} for row in rows[2:])])
        out = tmp_path / f"run-{told}"
        assert recorded_variables(train_sft(settings(model=str(known), data=data, out=out, max_steps=1))) == kept


def test_rows_of_different_variables_are_refused(
    planner: Path, settings: Callable[..., SFTSettings], tmp_path: Path
) -> None:
    first, second = sample_rows(planner, 2)
    told = [{**first, "template": {"enable_thinking": False}}, {**second, "template": {}}]
    with pytest.raises(ConfigError, match=r"the row '0' was rendered .* and '1' with \{\}; .* same `template`"):
        train_sft(settings(data=write_jsonl(tmp_path / "rows.jsonl", told)))


def test_finished_run_is_not_done_again_and_another_is_refused(settings: Callable[..., SFTSettings]) -> None:
    given = settings(max_steps=2)
    folder = train_sft(given)
    written = (folder / "model.safetensors").stat().st_mtime_ns

    assert train_sft(settings(max_steps=2, log_steps=5)) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(ConfigError, match=r"began with learning_rate=0\.003, not 0\.1"):
        train_sft(settings(max_steps=2, learning_rate=0.1))


def test_folder_with_other_things_is_refused(settings: Callable[..., SFTSettings], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()

    with pytest.raises(ConfigError, match="holds other files"):
        train_sft(settings())


PROGRAM = """
import sys
from finetune.sfta.sft import SFTSettings, train_sft
train_sft(SFTSettings.model_validate_json(sys.argv[1]))
"""


def stopped(given: SFTSettings, number: signal.Signals, after: int) -> int:
    """Train in another process, and send it a signal once its log tells of so many steps."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, given.model_dump_json()],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = given.out / "log.jsonl"
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < after):
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait()


def test_killed_run_goes_on_as_if_nothing_had_happened(settings: Callable[..., SFTSettings], tmp_path: Path) -> None:
    # 40 samples in batches of 8: the kill comes in the fourth epoch, the checkpoint lies within it.
    whole = settings(max_steps=40, batch_size=8, save_steps=4, out=tmp_path / "whole")
    killed = settings(max_steps=40, batch_size=8, save_steps=4, out=tmp_path / "killed")

    assert stopped(killed, signal.SIGKILL, after=18) == -signal.SIGKILL
    left = sorted(path.name for path in killed.out.glob("checkpoint-*"))
    assert left
    (killed.out / "checkpoint-36").mkdir()  # as if the kill had come while it was written
    train_sft(killed)
    train_sft(whole)

    expected, found = (losses(read_log(given.out / "log.jsonl")) for given in (whole, killed))
    assert list(found) == list(range(1, 41))
    assert found == pytest.approx(expected, rel=1e-4)
    tokens = [[row.tokens for row in read_log(given.out / "log.jsonl")] for given in (whole, killed)]
    assert tokens[0] == tokens[1]


def test_interrupted_run_saves_where_it_stands(settings: Callable[..., SFTSettings]) -> None:
    given = settings(max_steps=400, save_steps=1000)

    assert stopped(given, signal.SIGINT, after=3) != 0

    (checkpoint,) = given.out.glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert step == max(row.step for row in read_log(given.out / "log.jsonl"))
    assert 3 <= step < 400


def test_run_that_broke_off_behind_its_last_step_trains_no_further(
    settings: Callable[..., SFTSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(max_steps=3, scheduler="constant")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("finetune.sfta.training.write_card", full)
        with pytest.raises(OSError, match="no space"):
            train_sft(given)
    weights = {name: tensor.clone() for name, tensor in load_file(given.out / "model.part/model.safetensors").items()}
    folder = train_sft(given)

    assert list(losses(read_log(given.out / "log.jsonl"))) == [1, 2, 3]
    after = load_file(folder / "model.safetensors")
    assert all(torch.equal(weights[name], after[name]) for name in weights)


def test_what_may_change_changes_when_a_run_goes_on(settings: Callable[..., SFTSettings]) -> None:
    given = {"max_steps": 400, "save_steps": 1000, "log_steps": 1}
    stopped(settings(**given), signal.SIGINT, after=2)
    (checkpoint,) = (settings(**given).out).glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    stopped(settings(**given | {"save_steps": 3}), signal.SIGKILL, after=step + 8)
    saved = [int(path.name.removeprefix("checkpoint-")) for path in settings(**given).out.glob("checkpoint-*")]
    assert max(saved) > step
    assert all(number % 3 == 0 for number in saved if number != step)


def test_other_weights_in_the_same_folder_are_refused(
    planner: Path, settings: Callable[..., SFTSettings], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(planner, base)
    train_sft(settings(model=str(base), max_steps=1))
    tensors = load_file(base / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"began with other weights in .*base"):
        train_sft(settings(model=str(base), max_steps=1))


def test_another_number_of_processes_is_refused_until_the_run_is_finished(settings: Callable[..., SFTSettings]) -> None:
    given = settings(max_steps=400, save_steps=1000)
    stopped(given, signal.SIGINT, after=2)
    record = given.out / "run.json"
    told = json.loads(record.read_text(encoding="utf-8"))
    assert told["processes"] == 1
    record.write_text(json.dumps({**told, "processes": 2}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"2 processes, not 1 \(`accelerate launch --num_processes 2` goes"):
        train_sft(given)
    (given.out / "model").mkdir()
    assert train_sft(given) == given.out / "model"


def test_a_hub_model_is_known_by_its_commit(
    planner: Path, settings: Callable[..., SFTSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = tmp_path / "models--someone--planner"
    for commit in ("1" * 40, "2" * 40):
        shutil.copytree(planner, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("1" * 40)
    given = settings(model="someone/planner", max_steps=1)
    train_sft(given)
    assert json.loads((given.out / "run.json").read_text(encoding="utf-8"))["commit"] == "1" * 40
    train_sft(given)

    (model / "refs" / "main").write_text("2" * 40)
    with pytest.raises(ConfigError, match=r"began with commit 1{40} of someone/planner, not 2{40}"):
        train_sft(given)


def test_several_gpus_want_several_processes(
    settings: Callable[..., SFTSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ConfigError, match="there are 2 GPUs: start one process for each"):
        train_sft(settings())


KILLED = """
import os
from finetune.sfta.watch import TrainingWatch
def killed(self, args, state, control, **others):
    if state.global_step == 8:
        os._exit(9)
TrainingWatch.on_step_begin = killed
"""


@pytest.mark.slow
def test_two_processes_go_on_with_the_batches_of_their_epoch(
    settings: Callable[..., SFTSettings], tmp_path: Path
) -> None:
    whole = settings(max_steps=10, batch_size=8, out=tmp_path / "whole")
    killed = settings(max_steps=10, batch_size=4, save_steps=7, out=tmp_path / "killed")
    train_sft(whole)
    for code in (KILLED + PROGRAM, PROGRAM):
        program = tmp_path / "program.py"
        program.write_text(code, encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program),
             killed.model_dump_json()],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=code == PROGRAM,
        )  # fmt: skip
    expected, found = (read_log(given.out / "log.jsonl") for given in (whole, killed))
    assert [row.tokens for row in found] == [row.tokens for row in expected]
    assert losses(found) == pytest.approx(losses(expected), rel=1e-3)


@pytest.mark.slow
def test_two_processes_come_to_what_one_does_with_batches_twice_as_large(
    settings: Callable[..., SFTSettings], tmp_path: Path
) -> None:
    alone = settings(batch_size=8, out=tmp_path / "alone")
    shared = settings(batch_size=4, out=tmp_path / "shared")
    train_sft(alone)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program),
         shared.model_dump_json()],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip

    expected, found = (read_log(given.out / "log.jsonl") for given in (alone, shared))
    assert losses(found) == pytest.approx(losses(expected), rel=1e-3)
    assert [row.tokens for row in found] == [row.tokens for row in expected]
