from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune.sfta.export import ExportSettings, export
from finetune.sfta.runs import LoraSettings
from finetune.sfta.sft import SFTSettings, train_sft
from tests.finetune.sfta.tiny_planner import TOOLS, messages_of, sample_rows, save_planner, write_jsonl
from tool_specs.exceptions import ConfigError, WeightsError


@pytest.fixture(scope="module")
def adapter(planner: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that has learnt something, so that merging it matters."""
    folder = tmp_path_factory.mktemp("adapter")
    data = write_jsonl(folder / "train.jsonl", sample_rows(planner, 16))
    lora = LoraSettings(rank=4, alpha=16)
    return train_sft(
        SFTSettings(
            model=str(planner), data=data, out=folder / "run", lora=lora, max_steps=4, learning_rate=2e-2, bf16=False
        )
    )


def logits(model: torch.nn.Module, folder: Path) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = messages_of("fox", "neon")
    prompt = tokenizer.apply_chat_template(messages, tools=TOOLS, tokenize=False, add_generation_prompt=True)
    with torch.no_grad():
        return model.eval()(**tokenizer(prompt, add_special_tokens=False, return_tensors="pt")).logits


def test_merged_adapter_computes_what_base_and_adapter_compute(planner: Path, adapter: Path, tmp_path: Path) -> None:
    folder = export(ExportSettings(model=adapter, out=tmp_path / "served"))

    base = AutoModelForCausalLM.from_pretrained(planner)
    before = logits(base, planner)
    expected = logits(PeftModel.from_pretrained(base, adapter), planner)
    found = logits(AutoModelForCausalLM.from_pretrained(folder), folder)
    assert not torch.allclose(before, expected, atol=1e-2)
    assert torch.allclose(found, expected, atol=1e-5)


def test_everything_that_is_served_is_there(adapter: Path, tmp_path: Path) -> None:
    folder = export(ExportSettings(model=adapter, out=tmp_path / "served", dtype="bfloat16"))

    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "serving.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert json.loads((folder / "serving.json").read_text(encoding="utf-8")) == {
        "tool_call_parser": "hermes",
        "dtype": "bfloat16",
        "vllm_flags": ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--dtype", "bfloat16"],
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert config["dtype"] == "bfloat16"
    assert {weights.dtype for weights in AutoModelForCausalLM.from_pretrained(folder).parameters()} == {torch.bfloat16}


def test_whoever_may_read_the_folder_may_read_the_weights(planner: Path, tmp_path: Path) -> None:
    folder = export(ExportSettings(model=planner, out=tmp_path / "served"))
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_whole_model_is_exported_too(planner: Path, tmp_path: Path) -> None:
    folder = export(ExportSettings(model=planner, out=tmp_path / "served", tool_parser="qwen3_xml"))

    expected, found = (logits(AutoModelForCausalLM.from_pretrained(place), planner) for place in (planner, folder))
    assert torch.equal(found, expected)
    assert json.loads((folder / "serving.json").read_text(encoding="utf-8"))["tool_call_parser"] == "qwen3_xml"


def test_the_card_says_what_is_in_the_folder(planner: Path, adapter: Path, tmp_path: Path) -> None:
    def head(folder: Path) -> dict[str, object]:
        return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])

    assert (head(adapter)["library_name"], "lora" in head(adapter)["tags"]) == ("peft", True)
    merged = export(ExportSettings(model=adapter, out=tmp_path / "served", dtype="bfloat16"))
    changed = {"library_name": "transformers", "tags": ["diffagent", "tool-calling", "sft"]}
    assert head(merged) == {**head(adapter), **changed}
    told = (merged / "README.md").read_text(encoding="utf-8")
    assert "## Do it again" in told
    assert "The adapter is merged into the weights of the model that it was trained on, in bfloat16;" in told

    again = export(ExportSettings(model=merged, out=tmp_path / "again", dtype="float32"))
    assert head(again) == head(merged)
    told = (again / "README.md").read_text(encoding="utf-8")
    assert (told.count("## Export"), "Whole weights, in float32;" in told) == (1, True)
    (merged / "README.md").write_text("# Mine\n")
    plain = export(ExportSettings(model=merged, out=tmp_path / "plain"))
    assert (plain / "README.md").read_text().startswith("# Mine\n\n## Export\nWhole weights, in bfloat16;")


def test_adapter_of_another_base_is_refused(planner: Path, adapter: Path, tmp_path: Path) -> None:
    other = save_planner(tmp_path / "other", seed=1)
    moved = tmp_path / "moved"
    moved.symlink_to(planner)

    with pytest.raises(ConfigError, match=r"was trained on other weights .* name the right base"):
        export(ExportSettings(model=adapter, base=str(other), out=tmp_path / "served"))
    assert not (tmp_path / "served").exists()
    assert export(ExportSettings(model=adapter, base=str(moved), out=tmp_path / "served")).is_dir()


def test_adapter_from_elsewhere_is_known_by_the_name_of_its_base(planner: Path, adapter: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for path in adapter.iterdir():
        if path.name != "base.json":
            (foreign / path.name).write_bytes(path.read_bytes())

    other = save_planner(tmp_path / "other", seed=1)
    with pytest.raises(ConfigError, match="was trained on"):
        export(ExportSettings(model=foreign, base=str(other), out=tmp_path / "served"))
    assert export(ExportSettings(model=foreign, out=tmp_path / "served")).is_dir()


def test_what_is_in_the_way_or_missing_is_named(planner: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        export(ExportSettings(model=planner, out=tmp_path))
    with pytest.raises(WeightsError, match="nowhere"):
        export(ExportSettings(model=tmp_path / "nowhere", out=tmp_path / "served"))
    silent = tmp_path / "silent"
    silent.mkdir()
    for path in planner.iterdir():
        if path.name != "chat_template.jinja":
            (silent / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ConfigError, match="no chat template"):
        export(ExportSettings(model=silent, out=tmp_path / "served"))
