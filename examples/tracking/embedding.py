"""
Metric learning: a network that puts hits of one track beside each other.

The loss pulls consecutive hits of a particle together, and pushes those of others away that are
nearer than a margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from graphs import distances2, track_pairs

if TYPE_CHECKING:
    from detector import Array
    from network import Adam, Network
    from samples import Hits, Truth

MARGIN = 1.0
PUSHED_FOR_EACH_PULLED = 4
"""How many pairs at most are pushed apart in a step, for each that is pulled together."""


def learn_event(
    network: Network, adam: Adam, event: tuple[Hits, Truth], rng: np.random.Generator
) -> float:
    """Learn from one event; return the loss before."""
    hits, truth = event
    layers = network.layers(hits.features)
    place = layers[-1]
    pulled = track_pairs(hits.position, truth.particle)
    pushed = _too_near(place, truth.particle, len(pulled) * PUSHED_FOR_EACH_PULLED, rng)

    apart = place[pulled[:, 0]] - place[pulled[:, 1]]
    near = place[pushed[:, 0]] - place[pushed[:, 1]]
    distance = np.sqrt((near**2).sum(axis=1)) + 1e-6
    loss = (apart**2).sum() / len(pulled) + ((MARGIN - distance) ** 2).sum() / max(len(pushed), 1)

    push = -2 * ((MARGIN - distance) / distance)[:, None] * near / max(len(pushed), 1)
    down = np.zeros_like(place)
    for pairs, force in ((pulled, 2 * apart / len(pulled)), (pushed, push)):
        np.add.at(down, pairs[:, 0], force)
        np.subtract.at(down, pairs[:, 1], force)
    adam.step(network.gradients(layers, down))
    return float(loss)


def _too_near(place: Array, particle: Array, n: int, rng: np.random.Generator) -> Array:
    """Return pairs of hits that are within the margin, and not of one particle."""
    same = (particle[:, None] == particle) & (particle >= 0)
    wrong = (distances2(place, place) < MARGIN**2) & ~same
    pairs = np.argwhere(np.triu(wrong, 1))
    return pairs if len(pairs) <= n else pairs[rng.choice(len(pairs), n, replace=False)]
