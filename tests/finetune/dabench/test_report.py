from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from finetune.dabench.measures import cases, values
from finetune.dabench.pairs import Pair
from finetune.dabench.report import COMPARED, FILE_NAME, LATENCY_PLOT, REWARD_PLOT, write_report
from finetune.dabench.results import Result
from finetune.dabench.summary import summarise
from tests.finetune.dabench.rows import called, pair, row
from tool_specs.exceptions import ConfigError

PAIRS: list[Pair] = [pair(f"p{n}", wording="plain" if n % 2 else "sty|lish") for n in range(20)]
PAIRS += [pair(f"i{n}", possible=False, wording="impossible") for n in range(5)]


def evaluated(*, drawn: bool = True) -> list[Result]:
    """Ours is right but declines one request; theirs takes the other checkpoint half the time and never declines."""
    rows = []
    for n in range(20):
        facts = {"reward": 0.5 + n / 100, "drawn": True} if drawn else {}
        none = {"reward": 0.0} if drawn else {}
        rows.append(row(f"p{n}", **none) if n == 7 else called(f"p{n}", seconds=0.1 + n / 100, **facts))
        other = {"checkpoint": "civitai:2@20"} if n % 2 else {}
        worse = {"reward": 0.3 + n / 100, "drawn": True} if drawn else {}
        rows.append(called(f"p{n}", "theirs", other, input_tokens=1000 + n, output_tokens=50, **worse))
    for n in range(5):
        rows.append(row(f"i{n}", fits=n != 0))
        rows.append(called(f"i{n}", "theirs", fits=n != 0, invented=("x",) if n == 0 else ()))
    return rows


def lines_of(text: str, head: str) -> dict[str, list[str]]:
    """The rows of the table whose head begins so, by their first cell."""
    lines = text.splitlines()
    start = lines.index(next(line for line in lines if line.startswith(head)))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|")))
        rows[name] = cells
    return rows


def test_the_report_says_what_was_measured(tmp_path: Path) -> None:
    rows = evaluated()
    path = write_report(tmp_path / "new", PAIRS, rows, about={"data set": "made up"})
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "new" / FILE_NAME
    assert "- data set: made up\n" in text
    assert "search once more to answer, and that search counts" in text
    assert "in which one with a fault is 0" in text
    assert "25 pairs: 20 can be drawn, 5 cannot." in text
    (summary,) = summarise(PAIRS, rows)
    ours, theirs = (summary.intervals[name] for name in ("ours", "theirs"))
    # By hand: 19 of 20 right, the one that was declined worth nothing.
    reward = (sum(0.5 + n / 100 for n in range(20)) - 0.57) / 20
    assert ours["reward"].mean == pytest.approx(reward)
    calls = lines_of(text, "| planner | reward |")
    assert calls["ours"][0] == f"{ours['reward'].mean:.3f} [{ours['reward'].low:.3f}, {ours['reward'].high:.3f}]"
    assert calls["ours"][1].startswith(f"{reward * 20 / 19:.3f} [")
    assert calls["ours"][2].startswith("95.0 % [")
    assert calls["theirs"][2] == (
        f"50.0 % [{100 * theirs['checkpoint'].low:.1f}, {100 * theirs['checkpoint'].high:.1f}]"
    )
    faults = lines_of(text, "| planner | answers that call |")
    assert faults["ours"] == ["19", "0.0 % (0 of 19)", "0.0 % (0 of 19)", "0.0 % (0 of 19)"]
    assert faults["theirs"][:3] == ["25", "4.0 % (1 of 25)", "0.0 % (0 of 25)"]
    declines = lines_of(text, "| planner | precision |")
    assert declines["ours"][0].startswith("83.3 % [")
    assert declines["ours"][1].startswith("100.0 % [")
    assert declines["theirs"] == ["–", "0.0 % [0.0, 0.0]"]
    costs = lines_of(text, "| planner | seconds, p50 |")
    assert costs["theirs"] == ["0.500", "0.500", "1,010", "50"]
    assert costs["ours"][2:] == ["–", "–"]


def test_differences_are_paired_and_bold_where_they_are_sure(tmp_path: Path) -> None:
    rows = evaluated()
    text = write_report(tmp_path, PAIRS, rows, compare=[("ours", "theirs")]).read_text(encoding="utf-8")
    cells = lines_of(text, "| planners |")["ours − theirs"]
    (summary,) = summarise(PAIRS, rows)
    for column, cell in zip(COMPARED, cells, strict=True):
        found = summary.differences("ours", "theirs")[column.measure]
        assert f"{100 * found.mean:+.1f} %" in cell if column.share else f"{found.mean:+.3f}" in cell
        assert cell.startswith("**") == (found.low > 0 or found.high < 0)
    ours, theirs = (
        values(cases(PAIRS, [one for one in rows if one.planner == name]), ["reward"])[:20, 0]
        for name in ("ours", "theirs")
    )
    assert f"{(ours - theirs).mean():+.3f}" in cells[0]
    # Over the pictures that both have, ours are better by .2 each: an interval without width.
    assert cells[1] == "**+0.200 [+0.200, +0.200]**"


def test_without_names_each_planner_is_compared_with_the_first(tmp_path: Path) -> None:
    text = write_report(tmp_path, PAIRS, evaluated()).read_text(encoding="utf-8")
    assert list(lines_of(text, "| planners |")) == ["theirs − ours"]
    with pytest.raises(
        ConfigError, match=r"'best' cannot be compared: it was not asked; the planners are ours, theirs"
    ):
        write_report(tmp_path, PAIRS, evaluated(), compare=[("best", "ours")])


def test_every_split_and_wording_has_its_table(tmp_path: Path) -> None:
    pairs = [one.model_copy(update={"split": "unseen" if one.id.endswith("3") else one.split}) for one in PAIRS]
    text = write_report(tmp_path, pairs, evaluated()).read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["test", "unseen"]
    assert "3 pairs: 2 can be drawn, 1 cannot." in text
    wordings = lines_of(text, "| wording |")
    assert list(wordings) == ["plain", "sty\\|lish"]
    assert wordings["sty\\|lish"][0].startswith("0.590 [")


def test_the_plots_are_pictures_of_what_was_measured(tmp_path: Path) -> None:
    write_report(tmp_path / "drawn", PAIRS, evaluated())
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {FILE_NAME, REWARD_PLOT, LATENCY_PLOT}
    for name in (REWARD_PLOT, LATENCY_PLOT):
        with Image.open(tmp_path / "drawn" / name) as plot:
            assert (plot.format, plot.width, plot.height > 200) == ("PNG", 1050, True)


def test_without_pictures_checkpoints_are_shown_instead(tmp_path: Path) -> None:
    text = write_report(tmp_path, PAIRS, evaluated(drawn=False)).read_text(encoding="utf-8")
    assert "![checkpoint](checkpoint.png)" in text
    assert (tmp_path / "checkpoint.png").is_file()
    assert lines_of(text, "| planner | reward |")["ours"][:2] == ["–", "–"]
    assert "### By wording: checkpoint" in text
    assert "reward" not in next(line for line in text.splitlines() if line.startswith("| planners |"))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(tmp_path / "file", PAIRS, evaluated())
