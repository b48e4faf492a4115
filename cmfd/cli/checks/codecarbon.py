"""What codecarbon reads of the processors' counters, to compare with: in a process of its own."""

from __future__ import annotations

import select
import subprocess
import sys
from contextlib import suppress
from importlib import util
from typing import IO, TYPE_CHECKING

from cmfd.cli.checks.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path

CHECK = "energy: codecarbon's reading"

_PROGRAM = """
import logging, sys
logging.disable()
from codecarbon.core.cpu import IntelRAPL
from codecarbon.core.units import Time
reader = IntelRAPL(rapl_dir=sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
reader.start()
print("begun", flush=True)
sys.stdin.readline()
found = reader.get_cpu_details(Time(1))
print(sum(kwh for name, kwh in found.items() if "Energy" in name) * 3.6e6, flush=True)
"""
"""Only its reader of counters is used: its tracker would look for networks and write files."""

_LONGEST_S = 30.0
"""It takes some seconds to be imported."""
_DIFFERENCE = 0.1
_LEAST_J = 1.0
"""Of less, the time between two readings is too large a part."""


class Reader:
    """
    Codecarbon's reader, which reads when it is told to.

    Parameters
    ----------
    sys_root : Path
        Where sysfs is.

    Attributes
    ----------
    energy_j : float or None
        What it read between `begin` and `end`; None: it said nothing.
    """

    def __init__(self, sys_root: Path) -> None:
        self.energy_j: float | None = None
        self._process = subprocess.Popen(  # noqa: S603 - a fixed program, no shell
            [sys.executable, "-c", _PROGRAM, str(sys_root / "class" / "powercap" / "intel-rapl")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            cwd="/",
        )  # fmt: skip
        self._answer()

    def begin(self) -> None:
        """Have it read for the first time."""
        self._go_on()
        self._answer()

    def end(self) -> None:
        """Have it read again."""
        self._go_on()
        with suppress(ValueError):
            self.energy_j = float(self._answer())

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _go_on(self) -> None:
        with suppress(OSError):
            _of(self._process.stdin).write("\n")
            _of(self._process.stdin).flush()

    def _answer(self) -> str:
        """Return its next line; nothing where it has ended, or takes too long."""
        said = _of(self._process.stdout)
        return said.readline() if select.select([said], [], [], _LONGEST_S)[0] else ""


def _of(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def is_installed() -> bool:
    """Tell whether codecarbon is here."""
    return util.find_spec("codecarbon") is not None


def compared(own_j: float, other_j: float | None) -> Finding:
    """
    Compare what both read of the processors' packages in the same second.

    Parameters
    ----------
    own_j, other_j : float
        What cmfd and codecarbon read; None: that says nothing.
    """
    if other_j is None:
        advice = "Without it nothing is missing: cmfd reads counters itself."
        return Finding(CHECK, "warn", "codecarbon's reader of RAPL fails here", advice)
    what = f"{other_j:.1f} J of the packages, where rapl read {own_j:.1f} J"
    if abs(own_j - other_j) <= max(_LEAST_J, _DIFFERENCE * own_j):
        return Finding(CHECK, "ok", what)
    advice = (
        "One of them leaves out a package or adds one twice: compare both with the node's own"
        " meter, and name rapl in energy_disabled if it is wrong."
    )
    return Finding(CHECK, "warn", what, advice)
