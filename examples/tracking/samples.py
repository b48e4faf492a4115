"""
What the stages share: the files of events, who does which of them, and the regions of the detector.

A sample is a directory with a file for each event, ``train-000.h5`` or ``test-000.h5``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

import cmfd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detector import Array

SEEN = ("/hits/position", "/hits/layer", "/hits/features")
"""The data sets of an event that a detector would give."""
TRUE = ("/truth/particle", "/truth/particles")
"""Those that only a simulation knows."""

ETA_BARREL = 1.0
"""The barrel is all that flies off at less than this pseudorapidity, the endcap the rest."""
REGIONS = ("barrel", "endcap")


class Hits(NamedTuple):
    """What is read of an event's hits."""

    position: Array
    layer: Array
    features: Array


class Truth(NamedTuple):
    """What is true of an event."""

    particle: Array
    """Row of `particles` for each hit."""
    particles: Array


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a command line with what all stages have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, required=True, help="directory for what it makes")
    return made


def ranks_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a command line of a stage that takes events one by one."""
    made = parser(description)
    made.add_argument("--ranks", action="store_true", help="divide events among MPI ranks (mpi4py)")
    return made


def begin(stage: str, args: argparse.Namespace) -> cmfd.Execution:
    """Start an execution of a stage; what is a hyperparameter of it is a parameter."""
    comm = None
    if getattr(args, "ranks", False):
        from mpi4py import MPI  # noqa: PLC0415 - only where it is asked for

        comm = MPI.COMM_WORLD
    args.out.mkdir(parents=True, exist_ok=True)
    values = {key: value for key, value in vars(args).items() if not isinstance(value, Path)}
    values.pop("ranks", None)
    return cmfd.start(pipeline="tracking", stage=stage, comm=comm, params=values)


def own(execution: cmfd.Execution, items: Sequence[Any]) -> Sequence[Any]:
    """Return which items are this rank's: of MPI, or of a step of SLURM's, without a word."""
    return items[max(execution.rank.rank, 0) :: max(execution.rank.size, 1)]


def events(sample: Path, kind: str = "*") -> list[Path]:
    """Return the files of a sample's events; `kind` is ``train`` or ``test``."""
    found = sorted(path for path in sample.iterdir() if path.match(f"{kind}-???.*"))
    if not found:
        raise SystemExit(f"there are no {kind} events in {sample}")
    return found


def read(execution: cmfd.Execution, path: Path, names: Sequence[str]) -> list[Array]:
    """Read data sets of an event, and say so."""
    with h5py.File(execution.input(path, datasets=names), "r") as file:
        return [file[name][()] for name in names]


def read_hits(execution: cmfd.Execution, path: Path) -> Hits:
    """Read what a detector would give."""
    return Hits(*read(execution, path, SEEN))


def read_event(execution: cmfd.Execution, path: Path) -> tuple[Hits, Truth]:
    """Read all of an event."""
    position, layer, features, particle, particles = read(execution, path, (*SEEN, *TRUE))
    return Hits(position, layer, features), Truth(particle, particles)


def write(execution: cmfd.Execution, path: Path, arrays: Mapping[str, Array]) -> None:
    """Write data sets to a file, and say so."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
    execution.output(path, datasets=list(arrays))


def region_of(eta: Array) -> Array:
    """Return which region something flies off into: a row of `REGIONS`."""
    return (np.abs(eta) >= ETA_BARREL).astype("i4")


def eta_of(position: Array) -> Array:
    """Return the pseudorapidity at which places lie."""
    r = np.hypot(position[:, 0], position[:, 1])
    return np.asarray(np.arcsinh(position[:, 2] / r))
