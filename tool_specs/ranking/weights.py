"""The learned parts of the ranking in one file: the encoder and the scorer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from tool_specs.exceptions import CatalogError
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.features import FEATURES
from tool_specs.ranking.scorer import Scorer

SHIPPED: Final = Path(__file__).resolve().parent / "ranking.safetensors"
_REMEDY: Final = "reinstall the package, or train it again with `python -m finetune.ranking.train`"


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """An encoder and the scorer that was trained on its features."""

    encoder: Encoder
    scorer: Scorer
    fingerprint: str
    """Changes when the vectors of an index would."""

    @classmethod
    def of(cls, encoder: Encoder, scorer: Scorer) -> Self:
        """Put the two together."""
        parts = (encoder.terms, encoder.table, encoder.scales)
        return cls(encoder, scorer, hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16])

    def save(self, path: Path) -> None:
        """Write them to a safetensors file."""
        from safetensors.numpy import save_file

        arrays = {
            "encoder.terms": self.encoder.terms,
            "encoder.table": self.encoder.table,
            "encoder.scales": self.encoder.scales,
            "scorer.means": self.scorer.means,
            "scorer.deviations": self.scorer.deviations,
        }
        for n, (weights, biases) in enumerate(self.scorer.layers):
            arrays |= {f"scorer.{n}.weights": weights, f"scorer.{n}.biases": biases}
        save_file(arrays, path, metadata={"features": " ".join(FEATURES)})

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Self:
        """Read what `save` wrote.

        Raises:
            CatalogError: The file is missing, damaged, or made for other features.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                features = (file.metadata() or {}).get("features", "")
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            if features.split() != list(FEATURES):
                msg = f"the ranking weights {path} were trained on other features; {_REMEDY}"
                raise CatalogError(msg)
            count = max(1, sum(name.endswith(".biases") for name in arrays))
            layers = [(arrays[f"scorer.{n}.weights"], arrays[f"scorer.{n}.biases"]) for n in range(count)]
            if layers[-1][0].shape[1] != 1:
                msg = f"the ranking weights {path} lack the scorer's last layer; {_REMEDY}"
                raise CatalogError(msg)
            return cls.of(
                Encoder(arrays["encoder.terms"], arrays["encoder.table"], arrays["encoder.scales"]),
                Scorer(arrays["scorer.means"], arrays["scorer.deviations"], layers),
            )
        except (OSError, SafetensorError, KeyError) as error:
            msg = f"the ranking weights {path} cannot be read ({error}); {_REMEDY}"
            raise CatalogError(msg) from error


@lru_cache(maxsize=1)
def shipped_weights() -> RankingWeights:
    """Those that come with the package, read once."""
    return RankingWeights.load()
