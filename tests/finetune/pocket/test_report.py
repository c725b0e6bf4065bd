from __future__ import annotations

from collections import Counter

from PIL import Image

from finetune.pocket.records import STYLE_IDS
from finetune.pocket.report import Drawn, contact_sheet, held_out_scenes, markdown, plan
from finetune.pocket.world import STYLES, SUBJECTS, Scene, domain_of, held_out


def test_only_pairs_that_no_training_saw_are_drawn() -> None:
    rows = list(plan(count=30, style_count=8))
    assert all(held_out(scene.subject, scene.background) for _, _, scene, _ in rows)
    assert Counter(group for group, *_ in rows) == {"right": 120, "wrong": 120, **dict.fromkeys(STYLES, 8)}


def test_right_and_wrong_checkpoints_draw_the_same_scenes() -> None:
    rows = list(plan(count=30, style_count=0))
    shown = {group: [scene for name, _, scene, _ in rows if name == group] for group in ("right", "wrong")}
    assert shown["right"] == shown["wrong"]
    for group, checkpoint, scene, _ in rows:
        assert (checkpoint == domain_of(scene.subject)) == (group == "right")


def test_every_style_is_drawn_with_its_lora_on_every_checkpoint() -> None:
    for style in STYLES:
        rows = [row for row in plan(count=0, style_count=8) if row[0] == style]
        assert {checkpoint for _, checkpoint, _, _ in rows} == set(SUBJECTS)
        assert {use.id for *_, loras in rows for use in loras} == {STYLE_IDS[style]}


def test_the_table_sets_results_beside_their_targets() -> None:
    report: dict[str, object] = {
        "judge_accuracy": 0.99, "seconds_median": 1.2, "pictures": 3, "right:all": 0.9, "wrong:all": 0.1,
        "towards:neon": 0.85, "style:neon": 0.8, "style_subject:neon": 0.7, "plain:right": 1.0,
    }  # fmt: skip
    text = markdown(report, "2 cores")
    assert "| seconds a picture, median | 1.2 | ≤ 2 |" in text
    assert "| right checkpoint shows the subject, all | 90.0% | ≥ 80% |" in text
    assert "| wrong checkpoint shows the subject, all | 10.0% | ≤ 35% |" in text
    assert "| LoRA `neon` brings the picture nearer to its style | 85.0% | ≥ 80% |" in text
    assert "on 2 cores." in text


def test_the_sheet_has_a_row_for_every_group() -> None:
    picture = Image.new("RGB", (64, 64), "red")
    scene = held_out_scenes("food", 1)[0]
    drawn = [Drawn(group, "food", Scene(scene.subject, scene.background), picture, 1.0) for group in ("right", "wrong")]
    one, both = contact_sheet(drawn[:1]), contact_sheet(drawn)
    assert both.height == 2 * one.height
    assert one.getpixel((10, one.height // 2)) == (255, 0, 0)
