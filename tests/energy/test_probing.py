"""Which sources are found, in which order, and which of them count."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sysfs import CrayCounters, Powercap, load, processors

from cmfd.config import Settings
from cmfd.energy import probing
from cmfd.energy.probing import ORDER, Candidate, candidates, choose
from cmfd.energy.readings import MODELLED, Component, Probe, Roots, Source

if TYPE_CHECKING:
    from cmfd.energy.readings import Grade, Scope

ROOT = Path(__file__).parents[2]
COMPONENTS: tuple[Component, ...] = get_args(Component)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    processors(tmp_path / "proc", "AMD EPYC 7763 64-Core Processor", n_threads=128)
    load(tmp_path / "proc", 0)
    return Roots(sys=tmp_path / "sys", proc=tmp_path / "proc")


def counting(roots: Roots, **settings: Any) -> dict[Component, str]:
    """Return the name of each component's source, of those that read from the roots."""
    found = candidates(roots, Settings(energy_disabled=("nvml", "ipmi"), **settings))
    return {component: source.name for component, source in choose(found).items()}


def probes(roots: Roots, settings: Settings) -> list[Probe]:
    """Return what is found of each source."""
    return [candidate.probe for candidate in candidates(roots, settings)]


def test_every_built_in_source_is_found_in_order(roots: Roots) -> None:
    assert tuple(probe.source for probe in probes(roots, Settings())) == ORDER
    for candidate in candidates(roots, Settings()):
        assert isinstance(candidate.source, Source)


def test_settings_choose_the_order_and_what_is_not_used(roots: Roots) -> None:
    settings = Settings(energy_sources=("rapl", "constant"), energy_disabled=("pm_counters",))
    names = [probe.source for probe in probes(roots, settings)]
    assert names[:2] == ["rapl", "constant"]
    assert "pm_counters" not in names
    assert len(names) == len(ORDER) - 1


def test_an_ordinary_user_without_any_counter_has_a_model(roots: Roots) -> None:
    """And is told how to get a better number."""
    assert counting(roots) == {"cpu": "tdp_load"}
    (model,) = [probe for probe in probes(roots, Settings()) if probe.source == "tdp_load"]
    assert (model.grade, bool(model.advice)) == ("D", True)


def test_a_counter_of_the_processors_counts_instead_of_a_model(roots: Roots) -> None:
    Powercap.intel(roots.sys)
    assert counting(roots) == {"cpu": "rapl", "dram": "rapl"}


def test_the_node_s_meter_counts_with_its_own_components(roots: Roots) -> None:
    Powercap.intel(roots.sys)
    CrayCounters(roots.sys, n_accelerators=4)
    expected = dict.fromkeys(("node", "cpu", "dram", "gpu"), "pm_counters")
    assert counting(roots) == expected
    preferred = expected | {"cpu": "rapl", "dram": "rapl"}
    assert counting(roots, energy_sources=("rapl",)) == preferred


def test_a_constant_that_was_set_counts_rather_than_a_guess(roots: Roots) -> None:
    assert counting(roots, energy_constant_w=300.0) == {"cpu": "tdp_load"}  # it is no guess
    processors(roots.proc, "Unknown", n_threads=4)
    assert counting(roots, energy_constant_w=300.0) == {"other": "constant"}


def candidate(
    name: str, grade: Grade, scope: Scope, components: tuple[Component, ...], status: str
) -> Candidate:
    class Named:
        pass

    source = Named()
    vars(source)["name"] = name
    probe = Probe(name, status, "", "", grade, scope, (), components)  # type: ignore[arg-type] # drawn from its words
    return Candidate(source, probe)  # type: ignore[arg-type] # nothing but its name is used


def test_gpus_go_by_a_source_that_knows_their_uuids() -> None:
    found = [
        candidate("meter", "A", "node", ("node", "gpu"), "available"),
        candidate("uuids", "B", "gpu", ("gpu",), "available"),
    ]
    assert {key: source.name for key, source in choose(found).items()} == {
        "node": "meter",
        "gpu": "uuids",
    }


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            candidate,
            st.text(min_size=1, max_size=3),
            st.sampled_from(["A", "B", "C", "D", "E"]),
            st.sampled_from(["node", "package", "gpu"]),
            st.lists(st.sampled_from(COMPONENTS), min_size=1, unique=True).map(tuple),
            st.sampled_from(["available", "denied", "absent", "broken"]),
        )
    )
)
def test_whatever_is_found_only_what_can_be_read_counts(found: list[Candidate]) -> None:
    chosen = choose(found)
    probes = {id(one.source): one.probe for one in found}
    usable = [one.probe for one in found if one.probe.status == "available"]
    for component, source in chosen.items():
        assert probes[id(source)].status == "available"
        assert component in probes[id(source)].components
    grades = {probes[id(source)].grade for source in chosen.values()}
    if {"node", "cpu"} & {c for one in usable if one.grade not in MODELLED for c in one.components}:
        assert not grades & MODELLED
    assert bool(chosen) == bool(usable)


def test_a_plug_in_that_fails_costs_only_itself(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that cannot be imported nor one that raises keeps the others from being read."""
    group = metadata.entry_points(group=probing.GROUP)
    more = (
        metadata.EntryPoint("gone", "no.such.module:Source", probing.GROUP),
        metadata.EntryPoint("odd", "builtins:len", probing.GROUP),
    )
    every = metadata.EntryPoints((*group, *more))
    monkeypatch.setattr(metadata, "entry_points", lambda **_: every)
    found = {probe.source: probe for probe in probes(roots, Settings())}
    assert {found[name].status for name in ("gone", "odd")} == {"broken"}
    assert "energy_disabled" in found["odd"].advice
    assert found["tdp_load"].status == "available"
    assert list(found)[-1] == "constant"


def test_the_documented_plug_in_is_a_source_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roots: Roots
) -> None:
    """The example as it stands in the reference, as its entry point would have it."""
    text = (ROOT / "docs/reference/energy-sources.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_package.py").write_text(code.replace("/run/", f"{tmp_path}/"))
    monkeypatch.syspath_prepend(tmp_path)
    point = metadata.EntryPoint("rack_meter", "my_package:RackMeter", probing.GROUP)
    every = metadata.EntryPoints((*metadata.entry_points(group=probing.GROUP), point))
    monkeypatch.setattr(metadata, "entry_points", lambda **_: every)
    assert counting(roots) == {"cpu": "tdp_load"}
    (tmp_path / "rack-meter").write_text("2.5")
    assert counting(roots) == {"node": "rack_meter"}
    (source,) = choose(candidates(roots, Settings(energy_disabled=("nvml", "ipmi")))).values()
    assert isinstance(source, Source)
    assert source.read()[0].value == 9_000_000_000


@pytest.mark.slow
def test_nothing_slow_is_imported_to_read_counters() -> None:
    """Neither NumPy nor what codecarbon, a GPU's bindings or a web service bring along."""
    program = """
import json, sys
import cmfd.energy.counters, cmfd.energy.probing
from cmfd.config import Settings
from cmfd.energy.readings import Roots
from pathlib import Path
nothing = Roots(Path("/none"), Path("/none"))
cmfd.energy.probing.candidates(nothing, Settings(energy_disabled=("nvml",)))
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {
        "numpy", "pandas", "codecarbon", "pynvml", "amdsmi", "psutil", "requests", "ssl",
    }  # fmt: skip
