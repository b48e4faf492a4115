"""Energy in commands that are about something else: one line, and how to get a better number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.energy import Metered, a_probe
from support.sites import ASite

from cmfd.report.status import status_lines

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import Invoke


def test_show_says_what_a_run_took(tmp_path: Path, invoke: Invoke) -> None:
    """Measured: with its grade and its source, and no advice."""
    metered = Metered().spend(0, {1: 3_600_000_000, "idle": 1_000_000_000})
    ASite(tmp_path / "site").take(*metered.contents())
    text = invoke("show", "last", f"--site={tmp_path / 'site'}").stdout
    assert "energy   1.00 Wh (cpu 1.00 Wh), grade B by rapl" in text
    assert "modelled" not in text


def test_show_says_how_to_get_a_better_number(tmp_path: Path, invoke: Invoke) -> None:
    """A modelled one is only a guess: what can be read with a little help is named."""
    metered = Metered().spend(0, {1: 3_000_000_000}, source="tdp_load", grade="E")
    run, ledger = metered.contents()
    denied = a_probe(status="denied", advice="Have root grant it.", grade="M", chosen=False)
    model = a_probe("tdp_load", advice="Measure watts.", grade="E")
    ledger["energy_probe"] = [tuple(denied), tuple(model)]
    ASite(tmp_path / "site").take(run, ledger)
    text = invoke("show", "last", f"--site={tmp_path / 'site'}").stdout
    assert "grade E by tdp_load" in text
    assert "modelled, not measured. Have root grant it." in text


def test_status_says_who_counts() -> None:
    """Which sources, or why none."""

    def lines(energy: dict[str, object]) -> str:
        site = {"path": "/s", "exists": True, "waiting": 0, "quarantined": 0}
        document = {"node_dir": "/n", "journals": 0, "daemon": {"energy": energy}, "site": site}
        return "\n".join(status_lines(document))

    source = {"source": "tdp_load", "grade": "E", "counts": ["cpu"], "advice": "Measure watts."}
    said = lines({"on": True, "counts": True, "sources": [source]})
    assert "energy   is counted by tdp_load (E: cpu)\n         Measure watts." in said
    said = lines({"on": True, "counts": False, "reason": "process 7 of user ana counts"})
    assert "energy   is not counted here: process 7 of user ana counts" in said
    assert "energy" not in lines({"on": False})
