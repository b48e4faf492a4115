"""What processor this is, and its thermal design power by the table that codecarbon brings."""

from __future__ import annotations

import csv
import re
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TABLE = "data/hardware/cpu_power.csv"
_NUMBER = re.compile(r"\d+(\.\d+)?")
_NOISE = re.compile(
    r"\((?:r|tm)\)|\bcpu\b|\bprocessor\b|\b\d+-core\b|\bw/ .*|\bwith radeon.*|@.*", re.IGNORECASE
)


class Processor(msgspec.Struct, frozen=True):
    """
    The processors of this node.

    Attributes
    ----------
    model : str
        As ``/proc/cpuinfo`` names it; empty where it does not.
    n_threads, n_sockets : int
        How many there are.
    is_virtual : bool
        They are a part of some other machine's, shown by a hypervisor.
    """

    model: str
    n_threads: int
    n_sockets: int
    is_virtual: bool


def processor_of(proc: Path) -> Processor:
    """Read ``/proc/cpuinfo``; what it does not say is taken as one thread of a nameless model."""
    try:
        text = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    said = re.findall(r"^(\S[^\t:\n]*?)\s*:[ \t]*(.*)$", text, re.MULTILINE)
    named = {key: value.strip() for key, value in reversed(said)}
    return Processor(
        model=named.get("model name", ""),
        n_threads=max(1, sum(key == "processor" for key, _ in said)),
        n_sockets=max(1, len({value for key, value in said if key == "physical id"})),
        is_virtual="hypervisor" in named.get("flags", "").split(),
    )


def simplified(model: str) -> str:
    """Return a processor's name without what different writers add to it."""
    return " ".join(_NOISE.sub(" ", model).lower().split())


def table_of_codecarbon() -> dict[str, float]:
    """
    Read codecarbon's table of thermal design powers, without importing it.

    Returns
    -------
    dict
        Watts by simplified name; empty where codecarbon is not installed.
    """
    spec = util.find_spec("codecarbon")
    found: dict[str, float] = {}
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / _TABLE
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                found |= _rows(csv.DictReader(lines))
    return found


def tdp_w(model: str, table: Mapping[str, float]) -> float | None:
    """
    Return a processor's thermal design power.

    Only a name that is in the table as a whole counts: "AMD EPYC", which hypervisors show, is no
    processor of 8 W because some embedded one is named like it.
    """
    name = simplified(model)
    return table.get(name) if any(letter.isdigit() for letter in name) else None


def _rows(lines: Iterable[dict[str, str]]) -> dict[str, float]:
    """Return the lines that say a number."""
    numbers = {simplified(line["Name"]): line["TDP"] for line in lines}
    return {name: float(tdp) for name, tdp in numbers.items() if _NUMBER.fullmatch(tdp)}
