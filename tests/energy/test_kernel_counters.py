"""Counters that the kernel shows: what is counted, what is not, and what is said when it cannot."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.sysfs import (
    AMD_RANGE_UJ,
    INTEL_RANGE_UJ,
    CrayCounters,
    KernelFiles,
    Powercap,
    grace_sockets,
    hwmon_chip,
    say,
)

from cmfd.config import Settings
from cmfd.energy.counters import Meters
from cmfd.energy.readings import Flag, Roots, Source
from cmfd.energy.sources import sensors
from cmfd.energy.sources.hwmon import GraceHwmon, Hwmon
from cmfd.energy.sources.pm_counters import PmCounters
from cmfd.energy.sources.rapl import Rapl


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    return tmp_path / "sys"


@pytest.fixture
def roots(sys: Path) -> Roots:
    return Roots(sys=sys)


def values(source: Source) -> dict[str, tuple[str, int]]:
    """Return what each domain says, and of which component."""
    return {one.domain: (one.component, one.value) for one in source.read()}


def statuses(source: Source) -> dict[str, str]:
    return {one.domain: one.status for one in source.read()}


# RAPL


def test_packages_and_dram_count_their_parts_and_supersets_do_not(sys: Path, roots: Roots) -> None:
    """Neither core nor uncore nor psys, and a package shown twice once."""
    tree = Powercap.intel(sys)
    for n, place in enumerate(("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:2", "intel-rapl:1:2")):
        tree.advance(place, n + 1)
    source = Rapl(roots, Settings())
    source.open()
    assert values(source) == {
        "package-0": ("cpu", 1),
        "package-1": ("cpu", 2),
        "package-0/dram": ("dram", 3),
        "package-1/dram": ("dram", 4),
    }
    probe = source.probe()
    assert (probe.status, probe.grade, probe.components) == ("available", "B", ("cpu", "dram"))
    source.close()


def test_a_package_that_only_the_memory_mapped_interface_has_counts(
    sys: Path, roots: Roots
) -> None:
    tree = Powercap(sys)
    tree.zone("intel-rapl-mmio:0", "package-0", INTEL_RANGE_UJ, 7)
    source = Rapl(roots, Settings())
    source.open()
    assert values(source) == {"package-0": ("cpu", 7)}
    source.close()


def test_amds_packages_have_no_dram(sys: Path, roots: Roots) -> None:
    Powercap.amd(sys)
    source = Rapl(roots, Settings())
    source.open()
    assert {one.range_uj for one in source.read()} == {AMD_RANGE_UJ}
    assert source.probe().components == ("cpu",)
    source.close()


def test_a_wrapped_counter_is_read_right_and_opened_once(sys: Path, roots: Roots) -> None:
    tree, files, meters = Powercap.amd(sys, n_packages=1), KernelFiles(), Meters()
    tree.reset("intel-rapl:0", AMD_RANGE_UJ - 100)
    source = Rapl(roots, Settings(), files)
    source.open()
    meters.advance(source.read())
    total = 0
    for _ in range(5):
        tree.advance("intel-rapl:0", 70)
        (delta,) = meters.advance(source.read())
        total += delta.uj
    assert total == 350
    assert files.n_opened == 1
    source.close()


def test_a_range_that_cannot_be_read_loses_one_interval_and_says_so(
    sys: Path, roots: Roots
) -> None:
    tree, meters = Powercap(sys), Meters()
    tree.zone("intel-rapl:0", "package-0", None, 900)
    source = Rapl(roots, Settings())
    source.open()
    meters.advance(source.read())
    tree.reset("intel-rapl:0", 10)
    (lost,) = meters.advance(source.read())
    tree.advance("intel-rapl:0", 32)
    (then,) = meters.advance(source.read())
    assert (lost.uj, lost.covered_ns, lost.flags) == (0, 0, Flag.RESET)
    assert then.uj == 32
    source.close()


def test_counters_for_root_only_are_denied_and_advice_is_given() -> None:
    """Really as another user, where the test is root: to root a file's mode means nothing."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        place.chmod(0o755)
        tree = Powercap.intel(place / "sys", n_packages=1)
        for zone in ("intel-rapl:0", "intel-rapl:0:2"):
            tree.counter(zone).chmod(0)
        was = os.geteuid()
        os.seteuid(was or 65534)
        try:
            probe = Rapl(Roots(sys=place / "sys"), Settings()).probe()
        finally:
            os.seteuid(was)
    assert (probe.status, probe.grade) == ("denied", "M")
    assert "CAP_DAC_READ_SEARCH" in probe.advice
    assert "chmod" not in probe.advice


def test_rights_that_come_and_go_are_noticed(sys: Path, roots: Roots) -> None:
    tree, files = Powercap.amd(sys, n_packages=1), KernelFiles()
    counter = tree.counter("intel-rapl:0")
    files.denied.add(counter)
    source = Rapl(roots, Settings(), files)
    source.open()
    assert statuses(source) == {"package-0": "denied"}
    files.denied.clear()
    assert statuses(source) == {"package-0": "ok"}
    source.close()


def test_one_readable_counter_of_two_is_used_and_the_other_named(sys: Path, roots: Roots) -> None:
    tree, files = Powercap.intel(sys, n_packages=1), KernelFiles()
    files.denied.add(tree.counter("intel-rapl:0:2"))
    probe = Rapl(roots, Settings(), files).probe()
    assert (probe.status, probe.domains) == ("available", ("package-0",))
    assert "package-0/dram" in probe.reason
    assert probe.advice


def test_a_counter_that_is_taken_away_is_gone_and_comes_back(sys: Path, roots: Roots) -> None:
    """A descriptor of a file that was removed fails, and is opened anew."""
    tree = Powercap.amd(sys, n_packages=1)
    source = Rapl(roots, Settings(), KernelFiles())
    source.open()
    assert statuses(source) == {"package-0": "ok"}
    tree.remove("intel-rapl:0")
    assert statuses(source) == {"package-0": "gone"}
    say(tree.counter("intel-rapl:0"), 5)
    assert values(source) == {"package-0": ("cpu", 5)}
    source.close()


def test_a_node_without_counters_says_so(roots: Roots) -> None:
    for source in (
        Rapl(roots, Settings()),
        PmCounters(roots, Settings()),
        Hwmon(roots, Settings()),
    ):
        probe = source.probe()
        assert (probe.status, probe.grade, probe.domains) == ("absent", "M", ())
        source.open()
        assert source.read() == []
        source.close()


def test_the_dies_of_a_package_are_counted_each(sys: Path, roots: Roots) -> None:
    tree = Powercap(sys)
    for die in range(2):
        tree.zone(f"intel-rapl:{die}", f"package-0-die-{die}", INTEL_RANGE_UJ, die)
        tree.zone(f"intel-rapl:{die}:0", "dram", INTEL_RANGE_UJ, 10 + die)
    source = Rapl(roots, Settings())
    source.open()
    assert {name: value for name, (_, value) in values(source).items()} == {
        "package-0-die-0": 0,
        "package-0-die-0/dram": 10,
        "package-0-die-1": 1,
        "package-0-die-1/dram": 11,
    }
    source.close()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["draw", "draw", "draw", "deny", "allow", "remove", "reset"]),
        st.integers(0, 1000),  # W
        st.integers(1, 60),  # s
    ),
    max_size=15,
)


@settings(deadline=None, max_examples=examples(40))
@given(EVENTS, st.integers(0, AMD_RANGE_UJ - 1))
def test_whatever_happens_to_a_counter_what_was_drawn_is_counted_once(
    events: list[tuple[str, int, int]], start_uj: int
) -> None:
    """
    But for what a reset or a removal took with it.

    A reset can look like a turn of the counter; then no more is counted than the processor could
    have drawn in that time.
    """
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        now_s = 0
        patch.setattr(sensors, "boottime_ns", lambda: now_s * 1_000_000_000)
        tree, files, meters = Powercap(Path(directory)), KernelFiles(), Meters()
        tree.zone("intel-rapl:0", "package-0", AMD_RANGE_UJ, start_uj)
        counter = tree.counter("intel-rapl:0")
        source = Rapl(Roots(sys=Path(directory)), Settings(), files)
        source.open()
        meters.advance(source.read())
        counted = drawn = pending = doubtful_uj = since_s = 0
        ambiguous = False
        for event, power_w, after_s in events:
            uj = power_w * after_s * 1_000_000
            now_s += after_s
            drawn += uj
            pending += uj
            since_s += after_s
            if event in ("remove", "reset"):
                tree.reset("intel-rapl:0", 0)
                pending = 0
                doubtful_uj += 1_000_000_000 * (since_s + 2)
            else:
                tree.advance("intel-rapl:0", uj)
            files.denied = {counter} if event == "deny" else set()
            if event in ("deny", "remove"):
                source.close()
                source.open()
            if event == "remove":
                counter.unlink()
            for delta in meters.advance(source.read()):
                counted += delta.uj
                ambiguous |= bool(delta.flags & Flag.WRAP_AMBIGUOUS)
                pending = since_s = 0
            if event == "remove":
                say(counter, 0)
                meters.advance(source.read())
        source.close()
        assert counted <= drawn + doubtful_uj
        if not (doubtful_uj or ambiguous):
            assert counted + pending == drawn


# Cray


@pytest.mark.parametrize("has_times", [True, False])
def test_a_cray_node_counts_in_joules_with_its_accelerators(
    sys: Path, roots: Roots, *, has_times: bool
) -> None:
    tree, meters = CrayCounters(sys, n_accelerators=2, has_times=has_times), Meters()
    source = PmCounters(roots, Settings())
    source.open()
    meters.advance(source.read())
    tree.advance(energy=724, cpu_energy=300, memory_energy=50, accel1_energy=200)
    moved = {delta.domain: (delta.component, delta.uj) for delta in meters.advance(source.read())}
    assert moved == {
        "node": ("node", 724_000_000),
        "cpu": ("cpu", 300_000_000),
        "memory": ("dram", 50_000_000),
        "accel0": ("gpu", 0),
        "accel1": ("gpu", 200_000_000),
    }
    probe = source.probe()
    assert (probe.status, probe.grade) == ("available", "A")
    assert probe.components == ("gpu", "cpu", "node", "dram")
    source.close()


def test_cray_counters_that_were_not_renewed_are_stale(sys: Path, roots: Roots) -> None:
    tree = CrayCounters(sys)
    source = PmCounters(roots, Settings())
    source.open()
    assert set(statuses(source).values()) == {"ok"}
    assert set(statuses(source).values()) == {"stale"}
    tree.advance(energy=1)
    assert set(statuses(source).values()) == {"ok"}
    source.close()


def test_cray_counters_that_began_anew_are_not_taken_for_energy(sys: Path, roots: Roots) -> None:
    tree, meters = CrayCounters(sys), Meters()
    source = PmCounters(roots, Settings())
    source.open()
    meters.advance(source.read())
    tree.restart()
    lost = meters.advance(source.read())
    tree.advance(energy=9)
    then = {delta.domain: delta.uj for delta in meters.advance(source.read())}
    assert {(delta.uj, delta.flags) for delta in lost} == {(0, Flag.RESET)}
    assert then == {"node": 9_000_000, "cpu": 0, "memory": 0}
    source.close()


def test_cray_files_that_say_no_joules_are_broken_or_denied(sys: Path, roots: Roots) -> None:
    tree, files = CrayCounters(sys), KernelFiles()
    files.denied |= {tree.directory / name for name in tree.joules}
    assert PmCounters(roots, Settings(), files).probe().status == "denied"
    for name in tree.joules:
        say(tree.directory / name, "N/A")
    assert PmCounters(roots, Settings()).probe().status == "broken"


# hwmon and Grace


def test_chips_whose_meaning_is_known_are_read_and_no_others(sys: Path, roots: Roots) -> None:
    """Of AMD's cores and sockets the sockets; of a network card's power nothing."""
    hwmon_chip(
        sys, "amd_energy", "amd_energy.0", energy1_input=11, energy1_label="Ecore000",
        energy2_input=22, energy2_label="Esocket0",
    )  # fmt: skip
    hwmon_chip(sys, "power_meter", "ACPI000D:00", power1_average=350_000_000)
    hwmon_chip(sys, "mlx5", "0000:31:00.0", power1_input=9)
    hwmon_chip(
        sys, "amdgpu", "0000:03:00.0", power1_average=90_000_000, power1_input=95_000_000,
        power1_label="PPT",
    )  # fmt: skip
    source = Hwmon(roots, Settings())
    probe = source.probe()
    source.open()
    assert values(source) == {
        "amd_energy/amd_energy.0/Esocket0": ("cpu", 22),
        "power_meter/ACPI000D:00/1": ("node", 350_000_000),
        "amdgpu/0000:03:00.0/PPT": ("gpu", 90_000_000),
    }
    assert {one.kind for one in source.read()} == {"counter", "power"}
    assert probe.grade == "C"
    source.close()


def test_chips_that_count_energy_are_better_than_those_that_say_power(
    sys: Path, roots: Roots
) -> None:
    hwmon_chip(sys, "i915", "0000:03:00.0", energy1_input=5)
    hwmon_chip(
        sys, "xe", "0000:04:00.0", energy1_input=6, energy1_label="card", energy2_input=7,
        energy2_label="pkg",
    )  # fmt: skip
    source = Hwmon(roots, Settings())
    assert source.probe().grade == "B"
    source.open()
    assert values(source) == {
        "i915/0000:03:00.0/1": ("gpu", 5),
        "xe/0000:04:00.0/card": ("gpu", 6),
    }
    source.close()


def test_a_grace_socket_counts_once(sys: Path, roots: Roots) -> None:
    """Neither its module nor its parts beside it; and its meters are no node's."""
    grace_sockets(sys, n_sockets=2)
    source = GraceHwmon(roots, Settings())
    source.open()
    assert values(source) == {
        "grace-0": ("cpu", 300_000_000),
        "grace-1": ("cpu", 300_000_000),
    }
    assert (source.probe().status, source.probe().grade) == ("available", "C")
    assert Hwmon(roots, Settings()).probe().status == "absent"
    source.close()


def test_a_grace_socket_without_a_total_is_the_sum_of_its_parts(sys: Path, roots: Roots) -> None:
    grace_sockets(sys, has_total=False)
    source = GraceHwmon(roots, Settings())
    source.open()
    assert sum(one.value for one in source.read()) == 240_000_000
    source.close()


def test_a_sensor_that_has_nothing_to_say_has_no_value(sys: Path, roots: Roots) -> None:
    chip = hwmon_chip(sys, "power_meter", "ACPI000D:00", power1_average=350_000_000)
    source = Hwmon(roots, Settings())
    source.open()
    say(chip / "power1_average", "")
    assert set(statuses(source).values()) == {"gone"}
    source.close()
