"""GPUs: NVIDIA's real bindings over a library in C, and what AMD's bindings say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from support.nvml import FakeNvml
from support.sysfs import say

from cmfd.config import Settings
from cmfd.energy.counters import Meters
from cmfd.energy.readings import Roots
from cmfd.energy.sources.amdsmi import AmdSmi

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import sys

import msgspec

from cmfd.config import Settings
from cmfd.energy.readings import GpuSource, Roots, Source
from cmfd.energy.sources.nvml import Nvml

source = Nvml(Roots(), Settings())
assert isinstance(source, GpuSource) and isinstance(source, Source)
said = {"probe": source.probe()}
if said["probe"].status == "available":
    source.open()
    said["readings"] = source.read()
    said["gpus"] = source.gpus()
    if len(sys.argv) > 1:
        open(sys.argv[1], "w").close()
        said["later"] = source.read()
    source.close()
print(msgspec.json.encode(said).decode())
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    return FakeNvml(tmp_path_factory.mktemp("nvml"))


def said(fake: FakeNvml | None, *arguments: object) -> Any:
    """Probe and read in a process of its own: a library once loaded stays."""
    environ = dict(os.environ) if fake is None else fake.environment(os.environ)
    command = [sys.executable, "-c", _PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_gpus_count_their_energy_by_uuid(fake: FakeNvml) -> None:
    fake.say("GPU-aaaa 0 123456 250000 -", "GPU-bbbb 1 7 90000 -")
    found = said(fake)
    assert found["probe"]["status"] == "available"
    assert found["probe"]["grade"] == "B"
    assert found["probe"]["domains"] == ["GPU-aaaa", "GPU-bbbb"]
    read = {one["domain"]: (one["kind"], one["value"]) for one in found["readings"]}
    assert read == {"GPU-aaaa": ("counter", 123_456_000), "GPU-bbbb": ("counter", 7_000)}
    assert [gpu["minor"] for gpu in found["gpus"]] == [0, 1]


def test_a_gpu_that_counts_none_says_its_power_and_one_that_says_neither_is_left_out(
    fake: FakeNvml,
) -> None:
    fake.say("GPU-old 0 -1 250000 -", "GPU-older 1 -1 -1 -")
    found = said(fake)
    (one,) = found["readings"]
    assert (one["domain"], one["kind"], one["value"]) == ("GPU-old", "power", 250_000_000)
    assert found["probe"]["grade"] == "C"
    assert "integrated" in found["probe"]["reason"]


def test_a_divided_gpu_counts_as_a_whole_and_says_its_parts_shares(fake: FakeNvml) -> None:
    fake.say("GPU-mig 0 5000 100000 98:42,14")
    found = said(fake)
    assert [one["domain"] for one in found["readings"]] == ["GPU-mig"]
    assert found["gpus"][0]["slices"] == {"MIG-GPU-mig-1": 42 / 98, "MIG-GPU-mig-2": 14 / 98}


@pytest.mark.slow
def test_a_gpu_that_falls_off_the_bus_is_gone(fake: FakeNvml) -> None:
    fake.say("GPU-aaaa 0 123456 250000 -")
    file = fake.environment({})["FAKE_NVML"]
    assert [one["status"] for one in said(fake, file)["later"]] == ["gone"]


def test_no_driver_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one found that this machine may have."""
    (tmp_path / "libnvidia-ml.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = said(None)["probe"]
    assert (found["status"], found["grade"], found["advice"]) == ("absent", "M", "")


@pytest.mark.slow
def test_a_driver_that_is_not_loaded_is_absent_too(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    assert said(fake)["probe"]["status"] == "absent"


# AMD


class Card:
    """A GPU, or the second die of one."""

    def __init__(self, uuid: str, units: int | None, power_w: int | str) -> None:
        self.uuid, self.units, self.power_w = uuid, units, power_w


def bindings(cards: list[Card]) -> ModuleType:
    """Return a module with the functions of AMD's bindings that are used, as of 7.0."""

    class AmdSmiException(Exception):  # noqa: N818 - AMD's name
        pass

    def energy(card: Card) -> dict[str, Any]:
        if card.units is None:
            raise AmdSmiException(2)
        return {"energy_accumulator": card.units, "counter_resolution": 15.259, "timestamp": 1}

    module = ModuleType("amdsmi")
    functions = {
        "AmdSmiException": AmdSmiException,
        "amdsmi_init": lambda: None,
        "amdsmi_shut_down": lambda: None,
        "amdsmi_get_processor_handles": lambda: cards,
        "amdsmi_get_gpu_device_uuid": lambda card: card.uuid,
        "amdsmi_get_energy_count": energy,
        "amdsmi_get_power_info": lambda card: {
            "current_socket_power": "N/A",
            "average_socket_power": card.power_w,
        },
    }
    vars(module).update(functions)
    module.__spec__ = __spec__
    return module


@pytest.fixture
def amd(tmp_path: Path) -> Roots:
    say(tmp_path / "sys" / "module" / "amdgpu" / "version", "6.8")
    return Roots(sys=tmp_path / "sys")


def test_amds_gpus_count_by_uuid_and_second_dies_not(
    amd: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = [Card("a", 1_000_000, 90), Card("second", 0, 90)]
    monkeypatch.setitem(sys.modules, "amdsmi", bindings(cards))
    source, meters = AmdSmi(amd, Settings()), Meters()
    probe = source.probe()
    assert (probe.status, probe.grade, probe.domains) == ("available", "B", ("a",))
    source.open()
    meters.advance(source.read())
    cards[0].units = 1_001_000
    (delta,) = meters.advance(source.read())
    assert delta.uj == 15_259
    cards[0].units = None
    assert [one.status for one in source.read()] == ["gone"]
    source.close()


def test_amds_gpu_that_counts_none_says_its_power(
    amd: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", bindings([Card("a", None, 90)]))
    source = AmdSmi(amd, Settings())
    assert source.probe().grade == "C"
    source.open()
    assert [(one.kind, one.value) for one in source.read()] == [("power", 90_000_000)]
    source.close()


def test_amds_driver_without_bindings_says_what_to_install(
    amd: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    probe = AmdSmi(amd, Settings()).probe()
    assert probe.status == "broken"
    assert "pip install" in probe.advice
    assert AmdSmi(Roots(sys=tmp_path / "none"), Settings()).probe().status == "absent"
