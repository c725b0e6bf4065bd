"""The scorer: a small network that weighs the features of a model for a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

MAX_DEVIATIONS = 5.0
"""A feature counts no further from its mean than this, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A multilayer perceptron with rectified units over standardised features.

    Attributes:
        means: Of the features in training, (features,).
        deviations: Standard deviations, (features,).
        layers: Weights (inputs, outputs) and biases (outputs,) of each layer.
    """

    means: Array
    deviations: Array
    layers: Sequence[tuple[Array, Array]]

    def scores(self, features: Array) -> Array:
        """A score for each row of features, (candidates, features) to (candidates,).

        Scores compare models for one request: their softmax is the probability that it was drawn with the model.
        """
        hidden = np.clip((features - self.means) / self.deviations, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        for weights, biases in self.layers[:-1]:
            hidden = np.maximum(hidden @ weights + biases, 0)
        weights, biases = self.layers[-1]
        return (hidden @ weights + biases)[:, 0]
