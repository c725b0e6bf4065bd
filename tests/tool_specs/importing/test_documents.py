from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tool_specs.importing import documents
from tool_specs.importing.documents import entries, holds_json

OBJECTS = [{"id": n, "text": 'a "b" \\ } ] \u4e2d ' * (n % 7)} for n in range(50)]

LAYOUTS: dict[str, Callable[[list[Any]], str]] = {
    "lines": lambda values: "".join(json.dumps(value) + "\n" for value in values),
    "lines without the last end": lambda values: "\n".join(json.dumps(value) for value in values),
    "lines with blank ones": lambda values: "\n\n" + "\r\n\n".join(json.dumps(value) for value in values),
    "array": json.dumps,
    "indented array": lambda values: json.dumps(values, indent=2),
    "array of one line each": lambda values: "[" + ",\n".join(json.dumps(value) for value in values) + "]\n",
    "page": lambda values: json.dumps({"items": values, "metadata": {"nextCursor": "1|2"}}),
    "indented page": lambda values: json.dumps({"metadata": {"nextCursor": "1"}, "items": values}, indent=2),
    "lines of pages": lambda values: "\n".join(json.dumps({"items": [value]}) for value in values),
    "objects one after the other": lambda values: "\n".join(json.dumps(value, indent=1) for value in values),
    "with a byte order mark": lambda values: "\ufeff" + json.dumps(values),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "zstandard": zstd.compress}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_values(tmp_path: Path, layout: str, packing: str) -> None:
    path = tmp_path / "whatever.its.name"
    path.write_bytes(PACKINGS[packing](LAYOUTS[layout](OBJECTS).encode()))

    assert holds_json(path)
    assert [entry.value for entry in entries(path)] == OBJECTS


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    values=st.lists(st.dictionaries(st.text(min_size=1), JSON, max_size=4), min_size=1, max_size=5),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_any_objects_in_any_layout(tmp_path: Path, values: list[dict[str, Any]], layout: str) -> None:
    values = [{key: value for key, value in one.items() if key != "items"} for one in values]
    path = tmp_path / "x"
    path.write_bytes(LAYOUTS[layout](values).encode("utf-8", "surrogatepass"))
    read = list(entries(path))
    assert [entry.reason for entry in read] == [""] * len(values)
    assert [entry.value for entry in read] == values


def test_a_bad_line_is_told_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\n\xff\xfe\n{"a": NaN}\n' + b"[" * 100_000 + b'\n{"a": 2}')
    read = list(entries(path))

    assert [(entry.place, bool(entry.reason)) for entry in read] == [
        ("line 1", False), ("line 2", True), ("line 4", True), ("line 5", False), ("line 6", True), ("line 7", False),
    ]  # fmt: skip


def test_a_bad_element_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}, {"a": [}, "}"], {b}, nonsense, {"a": 2}, ]')
    read = list(entries(path))
    assert [entry.value for entry in read if not entry.reason] == [{"a": 1}, {"a": 2}]
    assert [entry.place for entry in read if entry.reason] == ["item 2", "item 3", "item 4"]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("layout", ["lines", "array", "page", "indented page"])
def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path: Path, layout: str, packing: str) -> None:
    path = tmp_path / "x"
    values = [{"id": n, "text": f"{n * 7919 % 10_007:x}" * 30} for n in range(3000)]
    content = PACKINGS[packing](LAYOUTS[layout](values).encode())
    path.write_bytes(content[: len(content) * 2 // 3])
    *whole, last = entries(path)

    assert 1000 < len(whole) < 2500
    assert [entry.value for entry in whole] == values[: len(whole)]
    assert last.reason


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_a_packed_file_that_is_damaged_says_so(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(start + b"\x08garbage" * 100)
    assert holds_json(path)
    (entry,) = entries(path)
    assert "damaged" in entry.reason


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"model: x\n", gzip.compress(b"tar", mtime=0), b"  \n "])
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert not holds_json(tmp_path / "x.json")
    assert list(entries(tmp_path / "x.json")) == [] or content


@pytest.mark.parametrize("layout", ["lines", "array", "page"])
def test_a_file_is_never_in_memory(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "x.gz"
    values = [{"id": n, "text": "z" * 1000} for n in range(30_000)]
    path.write_bytes(gzip.compress(LAYOUTS[layout](values).encode(), 1))
    del values
    read: list[int] = []
    tracemalloc.start()
    count = sum(1 for _ in entries(path, on_bytes=read.append))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 30_000
    assert peak < 5_000_000
    assert read == sorted(read)
    assert read[-1] == path.stat().st_size


@pytest.mark.parametrize("layout", ["lines", "array"])
def test_a_value_that_is_too_long_is_left_out(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_VALUE", 200_000)
    path = tmp_path / "x"
    path.write_text(LAYOUTS[layout]([{"a": 1}, {"a": "x" * 900_000}, {"a": 2}]))
    read = list(entries(path))
    assert [entry.value for entry in read][:1] == [{"a": 1}]
    assert "longer than 200,000" in read[1].reason
    assert (len(read) == 3) == (layout == "lines")


def test_the_real_files(shared_data: Path) -> None:
    counts = {"models.jsonl.gz": 14_711, "api/models-dump.jsonl.gz": 9_335, "api/models-varied.json": 134}
    for name, count in counts.items():
        read = list(entries(shared_data / name))
        assert [entry for entry in read if entry.reason] == []
        assert len(read) == count
