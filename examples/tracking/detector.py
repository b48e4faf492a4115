"""
A toy detector: cylinders around a beam pipe, discs at both ends, charged particles in its field.

Lengths are in millimetres, momenta in GeV. The field is uniform along the beam (z), so particles
fly on helices. There is no material: no scattering, no energy loss, no secondary particles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

FIELD_T = 2.0
BARREL_R_MM = np.array([32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0])
BARREL_HALF_LENGTH_MM = 800.0
DISC_Z_MM = np.array([900.0, 1050.0, 1220.0, 1400.0, 1600.0, 1800.0])
DISC_R_MM = (30.0, 660.0)

ETA_MAX = 2.5
PT_MIN_GEV = 0.5
PT_MEAN_GEV = 1.2
VERTEX_Z_MM = 30.0
RESOLUTION_MM = 0.2
LOST_FRACTION = 0.02
NOISE_FRACTION = 0.15

PARTICLE = np.dtype(
    [("pt", "f8"), ("eta", "f8"), ("phi", "f8"), ("charge", "i4"), ("z", "f8"), ("n_hits", "i4")]
)
"""What a particle was when it was made, and how many hits it left."""

NOISE = -1
"""The particle of a hit that no particle left."""


class Event(NamedTuple):
    """What the detector saw of one collision, and what was really there."""

    position: Array
    """x, y, z of each hit."""
    layer: Array
    """Where each hit is: cylinders 0 to 7, discs at +z from 8, at -z from 14."""
    particle: Array
    """Row of `particles` that left the hit, or `NOISE`."""
    particles: Array


def simulate(seed: int, event: int, n_particles: int) -> Event:
    """Make an event; the same one for the same numbers, whoever else makes others."""
    rng = np.random.default_rng((seed, event))
    particles = _particles(rng, n_particles)
    position, layer, particle = _hits(particles)
    kept = rng.random(len(layer)) >= LOST_FRACTION
    position, layer, particle = position[kept], layer[kept], particle[kept]
    position += rng.normal(0.0, RESOLUTION_MM, position.shape) * _is_measured(layer)
    noise, noise_layer = _noise(rng, round(NOISE_FRACTION * len(layer)))
    particles["n_hits"] = np.bincount(particle, minlength=n_particles)

    order = rng.permutation(len(layer) + len(noise_layer))
    return Event(
        np.concatenate([position, noise])[order].astype("f4"),
        np.concatenate([layer, noise_layer])[order].astype("i4"),
        np.concatenate([particle, np.full(len(noise_layer), NOISE)])[order].astype("i4"),
        particles,
    )


def _particles(rng: np.random.Generator, n: int) -> Array:
    made = np.zeros(n, PARTICLE)
    made["pt"] = PT_MIN_GEV + rng.exponential(PT_MEAN_GEV, n)
    made["eta"] = rng.uniform(-ETA_MAX, ETA_MAX, n)
    made["phi"] = rng.uniform(-np.pi, np.pi, n)
    made["charge"] = rng.choice([-1, 1], n)
    made["z"] = rng.normal(0.0, VERTEX_Z_MM, n)
    return made


def _hits(particles: Array) -> tuple[Array, Array, Array]:
    """Return where helices cross cylinders and discs, in which layer, and whose they are."""
    radius = particles["pt"][:, None] / (0.3 * FIELD_T) * 1000  # of the circle in the x-y plane
    slope = np.sinh(particles["eta"])[:, None]  # along z, for each millimetre on the circle
    z0 = particles["z"][:, None]

    inside = 2 * radius > BARREL_R_MM
    turn_barrel = 2 * np.arcsin(np.where(inside, BARREL_R_MM / (2 * radius), 0.0))
    z_barrel = z0 + radius * turn_barrel * slope
    in_barrel = inside & (np.abs(z_barrel) < BARREL_HALF_LENGTH_MM)

    z_disc = np.concatenate([DISC_Z_MM, -DISC_Z_MM])
    turn_disc = (z_disc - z0) / (radius * slope)
    r_disc = 2 * radius * np.sin(turn_disc / 2)
    ahead = (turn_disc > 0) & (turn_disc < np.pi)  # on the first half of its first turn
    in_disc = ahead & (DISC_R_MM[0] < r_disc) & (r_disc < DISC_R_MM[1])

    turn = np.concatenate([turn_barrel, turn_disc], axis=1)
    phi = particles["phi"][:, None] - particles["charge"][:, None] * turn / 2
    r = np.concatenate([np.broadcast_to(BARREL_R_MM, turn_barrel.shape), r_disc], axis=1)
    z = np.concatenate([z_barrel, np.broadcast_to(z_disc, turn_disc.shape)], axis=1)
    whose, layer = np.nonzero(np.concatenate([in_barrel, in_disc], axis=1))
    position = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=2)[whose, layer]
    return position, layer, whose


def _is_measured(layer: Array) -> Array:
    """Return 1 for what a layer measures: all but, in a disc, where the disc is."""
    return np.where((layer < len(BARREL_R_MM))[:, None], [1, 1, 1], [1, 1, 0])


def _noise(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Return hits anywhere on the layers, as many on each."""
    layer = rng.integers(len(BARREL_R_MM) + 2 * len(DISC_Z_MM), size=n)
    phi = rng.uniform(-np.pi, np.pi, n)
    fixed_r = np.append(BARREL_R_MM, np.zeros(2 * len(DISC_Z_MM)))[layer]
    fixed_z = np.concatenate([np.zeros_like(BARREL_R_MM), DISC_Z_MM, -DISC_Z_MM])[layer]
    is_barrel = layer < len(BARREL_R_MM)
    r = np.where(is_barrel, fixed_r, rng.uniform(*DISC_R_MM, n))
    z = np.where(is_barrel, rng.uniform(-BARREL_HALF_LENGTH_MM, BARREL_HALF_LENGTH_MM, n), fixed_z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1), layer
