from __future__ import annotations

from diffagent_tools.benchmarks.backend.report import Figures, table


def test_ours_stands_beside_the_plain_script() -> None:
    lines = table({"batch": {"ours": Figures(2.0, 1.0, 1500.4), "plain": Figures(3.0, 1.2, 1200.0)}}).splitlines()
    assert lines[2:] == ["| 8 pictures together | 2.000 (1.000) | 3.000 (1.200) | 1.50× | 1.20× | 1,500 | 1,200 |"]


def test_a_switch_of_the_lora_stands_beside_a_reload() -> None:
    text = table({"lora_ready": {"ours": Figures(0.010, 0.5, 500), "plain": Figures(0.400, 0.5, 500)}})
    assert "Another LoRA takes 10.0 ms, a reload 400.0 ms: 2.5%." in text
