"""A network of two hidden layers, and how its weights are improved. In NumPy alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from detector import Array


Layers = tuple["Array", "Array", "Array", "Array"]
"""Scaled inputs, both hidden layers, and what comes out."""


class Network(NamedTuple):
    """Weights, and how inputs are scaled."""

    mean: Array
    scale: Array
    weights: tuple[Array, ...]
    """Of the first, second and last layer, each followed by its bias."""

    @classmethod
    def new(cls, features: Array, width: int, n_out: int, seed: int) -> Network:
        """Return an untrained network for such features."""
        rng = np.random.default_rng(seed)
        sizes = (features.shape[1], width, width, n_out)
        weights: list[Array] = []
        for above, below in pairwise(sizes):
            weights += [rng.normal(0, above**-0.5, (above, below)), np.zeros(below)]
        return cls(features.mean(axis=0), features.std(axis=0), tuple(weights))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network from a file."""
        stored = np.load(path)
        weights = tuple(stored[f"w{i}"] for i in range(6))
        return cls(stored["mean"], stored["scale"], weights)

    def save(self, path: Path) -> None:
        """Write the network to a file."""
        weights: dict[str, Any] = {f"w{i}": values for i, values in enumerate(self.weights)}
        np.savez(path, mean=self.mean, scale=self.scale, **weights)

    def layers(self, features: Array) -> Layers:
        """Return what is in each layer for such inputs."""
        w0, b0, w1, b1, w2, b2 = self.weights
        scaled = (features - self.mean) / self.scale
        first = np.tanh(scaled @ w0 + b0)
        second = np.tanh(first @ w1 + b1)
        return scaled, first, second, second @ w2 + b2

    def __call__(self, features: Array) -> Array:
        """Return what comes out."""
        return self.layers(features)[-1]

    def gradients(self, layers: Layers, down: Array) -> list[Array]:
        """Return the gradient of each weight; `down` is that of what comes out."""
        _, _, w1, _, w2, _ = self.weights
        scaled, first, second, _ = layers
        to_second = (down @ w2.T) * (1 - second**2)
        to_first = (to_second @ w1.T) * (1 - first**2)
        return [
            scaled.T @ to_first, to_first.sum(axis=0), first.T @ to_second, to_second.sum(axis=0),
            second.T @ down, down.sum(axis=0),
        ]  # fmt: skip


class Adam:
    """Steps of the optimizer of that name, on weights in place."""

    def __init__(self, weights: tuple[Array, ...], rate: float) -> None:
        self.weights = weights
        self.rate = rate
        self.first = [np.zeros_like(values) for values in weights]
        self.second = [np.zeros_like(values) for values in weights]
        self.n_steps = 0

    def step(self, gradients: list[Array]) -> None:
        """Go one step down."""
        self.n_steps += 1
        rate = self.rate * (1 - 0.999**self.n_steps) ** 0.5 / (1 - 0.9**self.n_steps)
        for i, gradient in enumerate(gradients):
            self.first[i] += 0.1 * (gradient - self.first[i])
            self.second[i] += 0.001 * (gradient**2 - self.second[i])
            self.weights[i][:] -= rate * self.first[i] / (np.sqrt(self.second[i]) + 1e-8)
