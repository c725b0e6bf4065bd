from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune.cli.main import diffagent_train
from finetune.dabench.pairs import read_pairs


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_stage_from_nothing(tmp_path: Path) -> None:
    out = tmp_path / "planner"

    first = CliRunner().invoke(diffagent_train, ["reproduce", "--pocket", "--quick", "--out", str(out)])

    assert first.exit_code == 0, first.output
    assert len(read_pairs(out / "dabench", "requests")) == 24
    lessons = [json.loads(line) for line in (out / "lessons.jsonl").read_text().splitlines()]
    calls = [row for row in lessons if "<tool_call>" in row["completion"] and not row["id"].startswith("drill-")]
    assert sum(row["id"].startswith("drill-") for row in lessons) == 40
    assert sum('"sampler"' in row["completion"] for row in calls) / len(calls) == pytest.approx(0.5, abs=0.15)
    for stage in ("drilled", "sft", "rrhf", "dpo"):
        losses = [json.loads(line)["loss"] for line in (out / stage / "log.jsonl").read_text().splitlines()]
        assert losses
        assert all(loss is None or loss == loss for loss in losses)
    rollouts = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
    assert len(rollouts) == 10
    rankings = [json.loads(line) for line in (out / "rankings.jsonl").read_text().splitlines()]
    assert rankings[:10] == rollouts
    assert {row["id"].split("-")[0] for row in rankings[10:]} == {"made up", "mixed"}
    assert all(len(row["responses"]) == 1 for row in rankings[10:])
    assert not any("sampler" in row["responses"][0] for row in rankings[10:])
    assert (out / "planner" / "chat_template.jinja").is_file()
    report = (out / "report.md").read_text()
    assert "rrhf − sft" in report
    assert "Models that came after training" in report
    assert (out / "curves.png").stat().st_size > 1000
