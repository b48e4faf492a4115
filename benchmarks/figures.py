"""
How every benchmark here measures and prints.

A figure is the median of several runs, and stands beside its reference, which
is measured in the same process, turn and turn about, so that a noisy machine
slows both. One line each: name, figure, reference, ratio, bound, ok or MISS.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def line(  # noqa: PLR0913, PLR0917 - the columns of the table
    name: str, figure: float, unit: str, reference: float, what: str, bound: float,
    *, at_least: bool = False,
) -> bool:  # fmt: skip
    """
    Print one figure beside its reference; tell whether the ratio keeps the bound.

    Parameters
    ----------
    name, unit : str
        What was measured, in which unit.
    figure, reference : float
        Medians; the ratio is figure / reference.
    what : str
        What the reference is.
    bound : float
        Of the ratio: the most it may be, or the least if `at_least`.
    """
    ratio = figure / reference if reference else float("nan")
    ok = ratio >= bound if at_least else ratio <= bound
    sign = ">=" if at_least else "<="
    print(
        f"{name:<44} {figure:>12.4g} {unit:<9} {what:>34} {reference:>10.4g}   "
        f"ratio {ratio:>7.3f} {sign} {bound:<6g} {'ok' if ok else 'MISS'}",
        flush=True,
    )
    return ok


def in_turn(
    ours: Callable[[], float], reference: Callable[[], float], runs: int = 15
) -> tuple[float, float, float]:
    """
    Measure two things turn and turn about.

    Returns
    -------
    (float, float, float)
        Median of ours, of the reference, and of the ratio within each turn.
    """
    pairs = [(reference(), ours()) for _ in range(runs)]
    return (
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] / pair[0] for pair in pairs),
    )


def wall_s(command: Sequence[str], env: dict[str, str] | None = None) -> float:
    """Run a command to its end and return how long it took."""
    begun = time.perf_counter()
    subprocess.run(
        command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


@contextmanager
def on_a_large_site(doc: str | None, executions: int = 1_000_000) -> Iterator[tuple[Path, int]]:
    """Give where to make a site and how large, as the command line says; remove it afterwards."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--executions", type=int, default=executions)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        yield Path(directory), options.executions


def finish(kept: list[bool]) -> None:
    """Exit with 1 if a bound was missed."""
    sys.exit(0 if all(kept) else 1)
