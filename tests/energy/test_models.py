"""What is said of a node where nothing can be measured."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sysfs import load, processors

from cmfd.config import Settings
from cmfd.energy.counters import Meters
from cmfd.energy.readings import Roots
from cmfd.energy.sources import modelled
from cmfd.energy.sources.modelled import Constant, TdpLoad
from cmfd.energy.sources.processor import processor_of, simplified, table_of_codecarbon, tdp_w

if TYPE_CHECKING:
    from pathlib import Path

TICKS_PER_S = 100
SECOND = 1_000_000_000


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    load(tmp_path / "proc", 0)
    return tmp_path / "proc"


@pytest.fixture
def roots(proc: Path) -> Roots:
    return Roots(proc=proc)


def moved_j(source: TdpLoad | Constant, roots: Roots, busy_ticks: int, after_s: int) -> float:
    """Let time pass and threads work, and return what the model says of it."""
    with pytest.MonkeyPatch.context() as patch:
        meters = Meters()
        source.open()
        patch.setattr(modelled, "boottime_ns", lambda: SECOND)
        meters.advance(source.read())
        load(roots.proc, busy_ticks)
        patch.setattr(modelled, "boottime_ns", lambda: SECOND * (1 + after_s))
        (delta,) = meters.advance(source.read())
        source.close()
    return delta.uj / 1e6


@pytest.mark.parametrize(("load_share", "power_w"), [(0, 100), (0.5, 250), (1, 400)])
def test_configured_watts_are_the_ends_of_the_model(
    proc: Path, roots: Roots, load_share: float, power_w: float
) -> None:
    processors(proc, "Whatever", n_threads=8)
    source = TdpLoad(roots, Settings(energy_idle_w=100.0, energy_max_w=400.0))
    probe = source.probe()
    assert (probe.grade, probe.scope, source.idle_w) == ("D", "node", 100)
    busy_ticks = int(load_share * 8 * 10 * TICKS_PER_S)
    assert moved_j(source, roots, busy_ticks, 10) == pytest.approx(power_w * 10)


def test_a_known_processor_goes_by_its_thermal_design_power(proc: Path, roots: Roots) -> None:
    """Each socket has it; what an idle one draws is a share of it."""
    processors(proc, "AMD EPYC 7763 64-Core Processor", n_threads=256, n_sockets=2)
    source = TdpLoad(roots, Settings())
    probe = source.probe()
    assert (probe.status, probe.grade, probe.scope) == ("available", "D", "package")
    assert "2 AMD EPYC 7763" in probe.reason
    assert "280 W" in probe.reason
    assert "codecarbon" in probe.reason
    assert moved_j(source, roots, 256 * 10 * TICKS_PER_S, 10) == pytest.approx(5600)
    assert "energy_idle_w" in probe.advice


@pytest.mark.parametrize(
    ("said", "in_table"),
    [
        ("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz", "Intel Xeon Gold 6148"),
        ("Intel(R) Xeon(R) CPU E5-2630 v3 @ 2.40GHz", "Intel Xeon E5-2630 v3"),
        ("AMD EPYC 9654 96-Core Processor", "AMD EPYC 9654"),
        ("Intel(R) Xeon(R) CPU Max 9480", "Intel Xeon CPU Max 9480"),
    ],
)
def test_names_are_found_however_they_are_written(said: str, in_table: str) -> None:
    assert tdp_w(said, {simplified(in_table): 123.0}) == 123


@pytest.mark.parametrize("said", ["AMD EPYC", "AMD EPYC 9999 96-Core Processor", "QEMU", ""])
def test_a_name_that_is_not_in_the_table_as_a_whole_has_no_power(said: str) -> None:
    """A guest's "AMD EPYC" is none of 8 W, as a nearest match would make it."""
    assert tdp_w(said, table_of_codecarbon()) is None


def test_what_the_table_has_no_number_for_is_not_in_it() -> None:
    assert table_of_codecarbon()[simplified("AMD EPYC 7763 64-Core Processor")] == 280
    assert simplified("Of nothing") not in table_of_codecarbon()


@pytest.mark.skipif(find_spec("codecarbon") is None, reason="needs the data of cmfd[energy]")
def test_the_real_table_is_read_without_importing_the_package() -> None:
    """In a process that the other tests' table is not for."""
    program = """if True:
    import sys
    from cmfd.energy.sources.processor import table_of_codecarbon, tdp_w
    table = table_of_codecarbon()
    assert "codecarbon" not in sys.modules
    intel = "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz"
    names = ("AMD EPYC 7763 64-Core Processor", intel, "AMD EPYC")
    print(len(table) > 3000, *(tdp_w(name, table) for name in names))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "280.0", "150.0", "None"]


def test_a_virtual_machine_is_a_guess_and_says_so(proc: Path, roots: Roots) -> None:
    """Whatever its processor is called: how much of it the guest has is not known."""
    processors(proc, "AMD EPYC 7763 64-Core Processor", n_threads=4, flags="hypervisor")
    source = TdpLoad(roots, Settings())
    probe = source.probe()
    assert (probe.status, probe.grade) == ("available", "E")
    assert "virtual" in probe.reason
    assert "guessed" in probe.reason
    assert moved_j(source, roots, 4 * 10 * TICKS_PER_S, 10) == pytest.approx(160)


def test_an_unknown_processor_is_a_guess_and_says_so(
    proc: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As also where codecarbon is not installed: then that is the advice."""
    processors(proc, "Frobnicator 3000", n_threads=4)
    probe = TdpLoad(roots, Settings()).probe()
    assert (probe.grade, "no TDP is known" in probe.reason) == ("E", True)
    monkeypatch.setattr(modelled, "table_of_codecarbon", dict)
    assert "cmfd[energy]" in TdpLoad(roots, Settings()).probe().advice


def test_a_node_that_names_nothing_still_has_a_number(tmp_path: Path) -> None:
    load(tmp_path, 3)
    source = TdpLoad(Roots(proc=tmp_path), Settings())
    assert (source.probe().status, source.probe().grade) == ("available", "E")
    assert source.read()[0].value > 0
    source.close()


def test_a_node_that_tells_no_load_has_no_model(tmp_path: Path) -> None:
    source = TdpLoad(Roots(proc=tmp_path), Settings(energy_idle_w=1, energy_max_w=2))
    assert source.probe().status == "broken"
    assert [one.status for one in source.read()] == ["gone"]


def test_what_is_no_x86_is_read_as_far_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n\n"
        "processor\t: 1\nBogoMIPS\t: 50.00\n"
    )
    found = processor_of(tmp_path)
    assert (found.model, found.n_threads, found.n_sockets) == ("", 2, 1)
    assert not found.is_virtual


def test_a_constant_is_the_same_at_any_load(roots: Roots) -> None:
    assert Constant(roots, Settings()).probe().status == "absent"
    source = Constant(roots, Settings(energy_constant_w=300.0))
    probe = source.probe()
    assert (probe.status, probe.grade, probe.components) == ("available", "E", ("other",))
    assert moved_j(source, roots, 5000, 7) == 2100


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=20), st.floats(0.1, 20_000))
def test_how_often_a_model_is_read_changes_nothing(waits_ns: list[int], power_w: float) -> None:
    """The sum of what it says is what its last reading less its first says."""
    source = Constant(Roots(), Settings(energy_constant_w=power_w))
    now_ns, meters, total = SECOND, Meters(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modelled, "boottime_ns", lambda: now_ns)
        first = source.read()
        meters.advance(first)
        for wait_ns in waits_ns:
            now_ns += wait_ns
            last = source.read()
            total += sum(delta.uj for delta in meters.advance(last))
    assert total == last[0].value - first[0].value
