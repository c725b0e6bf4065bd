from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.downloads.file_names import file_name
from tool_specs.spec import ModelFile


def named(name: str) -> str:
    return file_name(ModelFile(id=1, name=name, type="Model", format="SafeTensor", size_kb=1))


@pytest.mark.parametrize(
    ("given_name", "ours"),
    [
        ("dreamshaper_8.safetensors", "dreamshaper_8.safetensors"),
        ("Ink (v1.2) [beta].SAFETENSORS", "Ink (v1.2) [beta].safetensors"),
        ("水墨.sft", "水墨.safetensors"),
        ("../../etc/passwd", "passwd.safetensors"),
        (r"C:\windows\con.safetensors", "_con.safetensors"),
        ("a\0b\nc\u202ed.safetensors", "abcd.safetensors"),
        (".bashrc", "bashrc.safetensors"),
        ('a<b>:"c|d?*.safetensors', "a_b___c_d__.safetensors"),
        ("..", "model.safetensors"),
        (".safetensors", "model.safetensors"),
        ("model.safetensors.ckpt", "model.safetensors.ckpt.safetensors"),
    ],
)
def test_names(given_name: str, ours: str) -> None:
    assert named(given_name) == ours


@given(st.text(max_size=200))
def test_any_name_is_a_visible_bare_file_that_can_be_made(name: str) -> None:
    ours = named(name)
    assert ours == PurePosixPath(ours).name == PureWindowsPath(ours).name
    assert ours.endswith(".safetensors")
    assert ours[0] not in ". "
    assert ours.isprintable()
    assert len(ours.encode()) <= 170
    assert named(ours) == ours
