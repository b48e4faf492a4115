"""`cmfd doctor --energy`: what an operator learns of each source, and of what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.sysfs import INTEL_RANGE_UJ, CrayCounters, Powercap, grace_sockets, processors

from cmfd.cli.checks import codecarbon
from cmfd.cli.checks import energy as checks
from cmfd.cli.main import cli
from cmfd.config import Settings
from cmfd.energy.readings import Roots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.cli.checks.finding import Finding

NO_MACHINE_S = ("nvml", "ipmi")
"""What this machine may have beside the trees."""


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roots:
    """Put the processor of the tree in place of this machine's."""
    found = Roots(sys=tmp_path / "sys", proc=tmp_path / "proc")
    processors(found.proc, "AMD EPYC 7763 64-Core Processor", n_threads=128)
    monkeypatch.setattr(checks, "_roots", lambda _settings: found)
    monkeypatch.setattr(codecarbon, "is_installed", lambda: False)  # it takes seconds to begin
    return found


def looked(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object] = dict
) -> dict[str, Finding]:
    """Let something happen in the second that is looked at."""
    monkeypatch.setattr("cmfd.cli.checks.energy.time.sleep", lambda _s: meanwhile())
    times = iter(range(10**9, 10**12, 10**9))
    for module in ("sensors", "pm_counters"):
        monkeypatch.setattr(f"cmfd.energy.sources.{module}.boottime_ns", lambda: next(times))
    settings = Settings(energy_sysfs=roots.sys, energy_disabled=NO_MACHINE_S)
    found = {one.check: one for one in checks.check_energy_sources(settings)}
    assert all(one.advice for one in found.values() if one.level != "ok")
    return found


READING = "energy: codecarbon's reading"


@pytest.mark.slow
@pytest.mark.parametrize("wraps", [False, True])
def test_codecarbon_itself_reads_the_same_of_the_same_counters(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, *, wraps: bool
) -> None:
    """Its real reader, over the tree: packages once, though both interfaces show them."""
    monkeypatch.setattr(codecarbon, "is_installed", lambda: True)
    tree = Powercap.intel(roots.sys, n_packages=2)
    for n in (0, 1):
        for place in (f"intel-rapl:{n}", f"intel-rapl-mmio:{n}"):
            tree.reset(place, INTEL_RANGE_UJ - 10**7 * (n + 1) if wraps else 10**9 * (n + 1))

    def draw() -> None:
        for n, uj in enumerate((187_000_000, 64_000_000)):
            for place in (f"intel-rapl:{n}", f"intel-rapl-mmio:{n}"):
                tree.advance(place, uj)
            tree.advance(f"intel-rapl:{n}:0", uj // 2)
            tree.advance(f"intel-rapl:{n}:2", 20_000_000)
        tree.advance("intel-rapl:2", 400_000_000)

    found = looked(roots, monkeypatch, draw)
    assert found[READING].what == "251.0 J of the packages, where rapl read 251.0 J"
    assert found[READING].level == "ok"


@pytest.mark.slow
def test_where_codecarbon_reads_something_else_one_is_told(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the memory-mapped counter, which stands still here: one of both is wrong."""
    monkeypatch.setattr(codecarbon, "is_installed", lambda: True)
    tree = Powercap.intel(roots.sys, n_packages=1)
    found = looked(roots, monkeypatch, lambda: tree.advance("intel-rapl:0", 90_000_000))
    assert found[READING].level == "warn"
    assert found[READING].what == "0.0 J of the packages, where rapl read 90.0 J"


def test_what_counts_says_its_power_and_grade(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Powercap.intel(roots.sys, n_packages=1)
    found = looked(roots, monkeypatch, lambda: tree.advance("intel-rapl:0", 374_000_000))
    said = found["energy: rapl"]
    assert (said.level, said.advice) == ("ok", "")
    assert said.what.startswith("grade B, counts for cpu, dram: 2 of 2 counters can be read")
    assert said.what.endswith("now cpu 187.0 W, dram 0.0 W")
    assert "1 x AMD EPYC 7763 64-Core Processor: 280 W at most; rapl says 187.0 W" in (
        found["energy: codecarbon's table"].what
    )
    assert "absent" in found["energy: pm_counters"].what


def test_a_counter_that_says_more_than_there_can_be_is_doubted(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Powercap.amd(roots.sys, n_packages=1)
    found = looked(roots, monkeypatch, lambda: tree.advance("intel-rapl:0", 900_000_000))
    table = found["energy: codecarbon's table"]
    assert (table.level, "compare rapl with" in table.advice) == ("warn", True)


def test_the_second_best_is_a_check(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    CrayCounters(roots.sys)
    Powercap.amd(roots.sys)
    grace_sockets(roots.sys)
    found = looked(roots, monkeypatch)
    assert "counts for node, cpu, dram" in found["energy: pm_counters"].what
    assert "a check only" in found["energy: rapl"].what
    assert found["energy: grace"].what.endswith("now cpu 300.0 W")


def test_counters_without_permission_say_how_to_get_it(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    Powercap.amd(roots.sys, n_packages=1)
    monkeypatch.setattr(
        "cmfd.energy.sources.files.Kernel.open", lambda *_: (_ for _ in ()).throw(PermissionError)
    )
    found = looked(roots, monkeypatch)
    assert found["energy: rapl"].level == "warn"
    assert found["energy: rapl"].what.startswith("denied: ")
    assert "CAP_DAC_READ_SEARCH" in found["energy: rapl"].advice


def test_in_short_only_what_counts_is_said(roots: Roots) -> None:
    """A warning where it is a model, or nobody measures."""
    settings = Settings(energy_sysfs=roots.sys, energy_disabled=NO_MACHINE_S)
    (roots.proc / "stat").write_text("cpu  1 0 0 5 0 0 0 0 0 0\n")
    found = checks.check_energy(settings)
    assert (found.level, found.what) == ("warn", "cpu by tdp_load (grade D)")
    assert "doctor --energy" in found.advice
    CrayCounters(roots.sys)
    found = checks.check_energy(settings)
    assert (found.level, found.what) == ("ok", "node, cpu, dram by pm_counters (grade A)")
    off = Settings(energy=False, energy_disabled=NO_MACHINE_S)
    assert checks.check_energy(off).level == "warn"


@pytest.mark.slow
def test_the_command_prints_one_finding_for_each_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real command, over a tree that the setting names."""
    CrayCounters(tmp_path)
    monkeypatch.setenv("CMFD_ENERGY_SYSFS", str(tmp_path))
    monkeypatch.setenv("CMFD_ENERGY_DISABLED", " ".join(NO_MACHINE_S))
    done = CliRunner().invoke(cli, ["doctor", "--energy", "--json"])
    assert done.exit_code == 0
    found = {one["check"]: one for one in json.loads(done.output)}
    assert "grade A" in found["energy: pm_counters"]["what"]
    assert "energy: nvml" not in found
