"""Classifiers of edges: a network in NumPy, or scikit-learn's boosted trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from network import Adam, Network

if TYPE_CHECKING:
    from detector import Array

BATCH = 256
WIDTH = 32


def probability(model: Any, features: Array) -> Array:
    """Return how likely each edge is a true one."""
    if isinstance(model, Network):
        return np.asarray(1 / (1 + np.exp(-model(features)[:, 0])))
    return np.asarray(model.predict_proba(features)[:, 1])


def fit_network(features: Array, label: Array, epochs: int, rate: float, seed: int) -> Network:
    """Train a network on the log of the likelihood."""
    network = Network.new(features, WIDTH, 1, seed)
    adam = Adam(network.weights, rate)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(label))
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            layers = network.layers(features[batch])
            wrong_by = 1 / (1 + np.exp(-layers[-1][:, 0])) - label[batch]
            adam.step(network.gradients(layers, wrong_by[:, None] / len(batch)))
    return network


def fit_trees(features: Array, label: Array, n_trees: int, rate: float, seed: int) -> Any:
    """Train boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - takes seconds

    trees = HistGradientBoostingClassifier(
        learning_rate=rate, max_iter=n_trees, early_stopping=False, random_state=seed
    )
    return trees.fit(features, label)


def log_loss(score: Array, label: Array) -> float:
    """Return the mean of minus the log of the likelihood."""
    right = np.clip(np.where(label, score, 1 - score), 1e-12, 1)
    return float(-np.log(right).mean())


def area_under_curve(score: Array, label: Array) -> float:
    """Return how often a true edge has a higher score than another."""
    true, other = score[label], np.sort(score[~label])
    below = (np.searchsorted(other, true) + np.searchsorted(other, true, side="right")) / 2
    return float(below.mean() / len(other))
