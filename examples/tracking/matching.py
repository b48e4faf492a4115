"""Comparing tracks with particles: what was found, and what of what was found is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from samples import REGIONS, region_of

if TYPE_CHECKING:
    from detector import Array
    from samples import Truth

MIN_HITS = 5
"""A particle with fewer cannot be asked for."""


class Counts(NamedTuple):
    """Particles that could be found, and tracks, with the region and success of each."""

    pt: Array
    region: Array
    is_found: Array
    track_region: Array
    """-1 where most of a track's hits are noise."""
    is_right: Array

    def efficiency(self, region: int | None = None) -> float:
        """Return which part of the particles was found."""
        return _mean(self.is_found, self.region, region)

    def purity(self, region: int | None = None) -> float:
        """Return which part of the tracks is of a particle."""
        return _mean(self.is_right, self.track_region, region)

    @classmethod
    def sum(cls, events: list[Counts]) -> Counts:
        """Return those of several events as one."""
        return cls(*(np.concatenate(columns) for columns in zip(*events, strict=True)))


def _mean(values: Array, regions: Array, region: int | None) -> float:
    chosen = values if region is None else values[regions == region]
    return float(chosen.mean()) if len(chosen) else float("nan")


def rows_of(truth: Truth, region: int) -> list[int]:
    """Return the particles of a region that could be found."""
    chosen = (truth.particles["n_hits"] >= MIN_HITS) & (region_of(truth.particles["eta"]) == region)
    return [int(row) for row in np.flatnonzero(chosen)]


def match(track: Array, truth: Truth) -> Counts:
    """
    Compare the tracks of an event with its particles.

    A track is of a particle if more than half of its hits are the particle's, and more than half
    of the particle's hits are on it.
    """
    n_tracks, n_particles = int(track.max(initial=-1)) + 1, len(truth.particles)
    shared = np.zeros((n_tracks, n_particles + 1))  # the last column is noise: particle -1
    on_track = track >= 0
    np.add.at(shared, (track[on_track], truth.particle[on_track]), 1)
    of_particle = np.bincount(truth.particle[truth.particle >= 0], minlength=n_particles)
    best = shared.argmax(axis=1)
    n_best = shared[np.arange(n_tracks), best]
    is_real = best < n_particles
    whole = np.append(of_particle, np.inf)[best]
    is_right = is_real & (2 * n_best > shared.sum(axis=1)) & (2 * n_best > whole)

    region = region_of(truth.particles["eta"])
    could_be_found = truth.particles["n_hits"] >= MIN_HITS
    is_found = np.isin(np.arange(n_particles), best[is_right])
    return Counts(
        truth.particles["pt"][could_be_found], region[could_be_found], is_found[could_be_found],
        np.where(is_real, np.append(region, -1)[best], -1), is_right,
    )  # fmt: skip


def efficiency_figure(counts: Counts) -> str:
    """Draw the efficiency by transverse momentum in each region, as SVG."""
    edges = np.array([0.5, 0.8, 1.2, 1.8, 3.0, 8.0])
    x = 40 + 400 * np.log(edges / edges[0]) / np.log(edges[-1] / edges[0])
    lines = []
    for number, (name, colour) in enumerate(zip(REGIONS, ("#0057b7", "#d35400"), strict=True)):
        chosen = counts.region == number
        points = []
        for low, high, left, right in zip(edges, edges[1:], x, x[1:], strict=False):
            here = counts.is_found[chosen & (counts.pt >= low) & (counts.pt < high)]
            if len(here):
                y = 220 - 200 * here.mean()
                points += [f"{left:.1f},{y:.1f}", f"{right:.1f},{y:.1f}"]
        lines += [
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"/>',
            f'<text x="50" y="{185 + 16 * number}" fill="{colour}">{name}</text>',
        ]
    at = zip(x, edges, strict=True)
    ticks = [f'<text x="{left:.1f}" y="236">{edge:g}</text>' for left, edge in at]
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="260" font-size="11">',
        '<path d="M40 20V220H440M36 20H40M36 120H40" fill="none" stroke="black"/>',
        '<text x="24" y="24">1</text><text x="18" y="124">0.5</text>',
        *ticks, '<text x="170" y="254">transverse momentum / GeV</text>',
        '<text x="44" y="14">efficiency</text>', *lines, "</svg>\n",
    ])  # fmt: skip
