from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from finetune.cli.main import COMMANDS, main
from finetune.sfta.logs import read_log
from tests.finetune.sfta.tiny_planner import ranking_rows, sample_rows, save_planner, write_jsonl


def test_help_lists_all_commands_and_loads_none_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in COMMANDS)
    probe = "import sys, finetune.cli.main as m; m.main(['--help']); print({'torch', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("name", ["sft", "align", "export"])
def test_help_of_a_command_does_not_load_torch(name: str) -> None:
    probe = f"import sys, finetune.cli.main as m; print(m.main([{name!r}, '--help']), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 False\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sft"], "give one YAML file"),
        (["sft", "a.yaml", "b.yaml"], "give one YAML file"),
        (["sft", "nothing.yaml"], "cannot be read"),
        (["align", "method=ppo", "model=m", "data=d", "out=o"], "method='ppo': input should be 'rrhf' or 'dpo'"),
        (["export", "colour=red"], "'colour' is no setting; allowed are model, base, out"),
        (["paint"], "there is no command 'paint'; diffagent-train --help lists them"),
        (["sfft"], "did you mean 'sft'?"),
    ],
)
def test_mistakes_end_with_code_2_and_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("diffagent-train: ")
    assert told.count("\n") == 1


def test_broken_weights_end_with_code_4(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    planner = save_planner(tmp_path / "planner")
    weights = planner / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])

    assert main(["export", f"model={planner}", f"out={tmp_path / 'out'}"]) == 4
    assert "cannot be read" in capsys.readouterr().err


def test_both_stages_and_export_one_after_the_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An adapter for each stage; the first is merged before the second begins."""
    planner = save_planner(tmp_path / "planner")
    write_jsonl(tmp_path / "sft.jsonl", sample_rows(planner, 16))
    write_jsonl(tmp_path / "ranked.jsonl", ranking_rows(planner, 12))
    config = tmp_path / "train.yaml"
    config.write_text(
        f"out: {tmp_path}/sft\nmax_steps: 3\nbatch_size: 4\nlearning_rate: 1e-2\nlog_steps: 1\nlora:\n  rank: 4\n",
        encoding="utf-8",
    )
    commands = [
        ["sft", str(config), f"model={planner}", f"data={tmp_path}/sft.jsonl"],
        ["export", f"model={tmp_path}/sft/model", f"out={tmp_path}/merged"],
        ["align", str(config), f"model={tmp_path}/merged", f"data={tmp_path}/ranked.jsonl", f"out={tmp_path}/rrhf"],
        ["export", f"model={tmp_path}/rrhf/model", f"out={tmp_path}/planned", "dtype=bfloat16"],
    ]
    for words, folder in zip(commands, ("sft/model", "merged", "rrhf/model", "planned"), strict=True):
        assert main(words) == 0
        assert capsys.readouterr().out.splitlines() == [str(tmp_path / folder)]
    assert (tmp_path / "planned" / "serving.json").is_file()
    assert [row.step for row in read_log(tmp_path / "rrhf" / "log.jsonl")] == [1, 2, 3]
