"""Graphs of hits: which pairs may be neighbours on a track, what is known of them, and tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from samples import eta_of

if TYPE_CHECKING:
    from detector import Array

MIN_HITS = 4
"""What is shorter is no track."""


def distances2(left: Array, right: Array) -> Array:
    """Return the square of the distance of each to each."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.asarray(np.maximum(squares, 0.0))


def outward(position: Array) -> Array:
    """Return how far out hits are: tracks pass them in this order."""
    return np.asarray(np.sqrt((position.astype("f8") ** 2).sum(axis=1)))


def track_pairs(position: Array, particle: Array) -> Array:
    """Return the pairs of consecutive hits of each particle, inner one first."""
    order = np.lexsort((outward(position), particle))
    pairs = np.stack([order[:-1], order[1:]], axis=1)
    whose = particle[pairs]
    return np.asarray(pairs[(whose[:, 0] == whose[:, 1]) & (whose[:, 0] >= 0)])


def radius_graph(place: Array, position: Array, layer: Array, radius: float) -> Array:
    """Return the pairs of hits that are near in the embedding, inner one first."""
    far = outward(position)
    near = (distances2(place, place) < radius**2) & (far[:, None] < far) & (layer[:, None] != layer)
    return np.argwhere(near)


def is_true(edges: Array, position: Array, particle: Array) -> Array:
    """Return which edges join consecutive hits of a particle."""
    n = len(position)
    return np.isin(edges @ [n, 1], track_pairs(position, particle) @ [n, 1])


def edge_features(edges: Array, place: Array, position: Array) -> Array:
    """Return what tells true edges from others."""
    x, y, z = position.astype("f8").T
    r, phi, eta = np.hypot(x, y), np.arctan2(y, x), eta_of(position).astype("f8")
    a, b = edges.T
    turn = (phi[b] - phi[a] + np.pi) % (2 * np.pi) - np.pi
    dr, dz = r[b] - r[a], z[b] - z[a]
    length = np.sqrt(dr**2 + dz**2) + 1e-3
    vertex_z = z[a] - r[a] * dz / np.where(np.abs(dr) < 1.0, np.copysign(1.0, dr), dr)
    apart = np.sqrt(((place[a] - place[b]) ** 2).sum(axis=1))
    columns = [
        r[a] / 660, r[b] / 660, np.abs(z[a]) / 1800, length / 500, np.arcsinh(100 * turn),
        np.arcsinh(1e5 * turn / length), np.arcsinh(20 * (eta[b] - eta[a])),
        np.arcsinh(vertex_z / 30), apart,
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def components(n_hits: int, edges: Array) -> Array:
    """Return for each hit the lowest number of those that it is joined to."""
    label = np.arange(n_hits)
    a, b = edges.T
    while True:
        lower = label.copy()
        np.minimum.at(lower, a, label[b])
        np.minimum.at(lower, b, label[a])
        lower = lower[lower]
        if np.array_equal(lower, label):
            return label
        label = lower


def best_links(edges: Array, score: Array, n_hits: int) -> Array:
    """Return the edges that are the best way out of one hit, and the best way in to the other."""
    order = np.argsort(score, kind="stable")
    best_out, best_in = np.full(n_hits, -1), np.full(n_hits, -1)
    best_out[edges[order, 0]] = order  # of equal places, the last one stays: the best
    best_in[edges[order, 1]] = order
    number = np.arange(len(edges))
    return np.asarray(edges[(best_out[edges[:, 0]] == number) & (best_in[edges[:, 1]] == number)])


def build_tracks(edges: Array, score: Array, n_hits: int, cut: float, builder: str) -> Array:
    """
    Return each hit's track, numbered from 0, or -1.

    Parameters
    ----------
    edges, score : array
        Pairs of hits, and how likely they are neighbours on a track.
    n_hits : int
        Of the event.
    cut : float
        Edges below it are forgotten.
    builder : str
        ``components``: all that is joined is a track; ``walk``: only by the best edge of a hit
        to the next.
    """
    kept = score >= cut
    edges, score = edges[kept], score[kept]
    if builder == "walk":
        edges = best_links(edges, score, n_hits)
    label = components(n_hits, edges)
    counts = np.bincount(label, minlength=n_hits)
    numbers = np.cumsum(counts >= MIN_HITS) - 1
    return np.asarray(np.where(counts[label] >= MIN_HITS, numbers[label], -1).astype("i4"))
