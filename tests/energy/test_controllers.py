"""The node's power as its controller says it: by a command of IPMI, and by Redfish over HTTP."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.redfish import redfish_service

from cmfd.config import Settings
from cmfd.energy.readings import Roots
from cmfd.energy.sources import slow
from cmfd.energy.sources.ipmi import Ipmi
from cmfd.energy.sources.redfish import Redfish
from cmfd.energy.sources.slow import SlowSource, Unanswered

if TYPE_CHECKING:
    from pathlib import Path

    from support.redfish import RedfishService

FREEIPMI = """\
Current Power                        : 332 Watts
Minimum Power over sampling duration : 4 Watts
Maximum Power over sampling duration : 520 Watts
Average Power over sampling duration : 318 Watts
Time Stamp                           : 11/23/2026 - 01:25:17
Statistics reporting time period     : 1000 milliseconds
Power Measurement                    : Active
"""
IPMITOOL = """

    Instantaneous power reading:                   332 Watts
    Minimum during sampling period:                  4 Watts
    Maximum during sampling period:                520 Watts
    Average power reading over sample period:      318 Watts
    IPMI timestamp:                           Mon Nov 23 01:25:17 2026
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated


"""
NO_REGISTRY = "IANA PEN registry open failed: No such file or directory\n"
CANNOT_OPEN = "Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0"


def command(tmp_path: Path, said: str, *, exit_code: int = 0, to: int = 1) -> Path:
    """Write a command that prints something and exits."""
    path = tmp_path / "ipmi-dcmi"
    path.write_text(f"#!/bin/sh\ncat >&{to} <<'END'\n{said}END\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def ipmi(*words: object) -> Ipmi:
    return Ipmi(Roots(), Settings(energy_ipmi_command=tuple(map(str, words))))


@pytest.mark.parametrize("said", [FREEIPMI, IPMITOOL])
def test_the_power_is_read_from_either_command(tmp_path: Path, said: str) -> None:
    source = ipmi(command(tmp_path, said))
    probe = source.probe()
    assert source.power_w() == 332
    assert (probe.status, probe.grade, probe.components) == ("available", "C", ("node",))
    assert "332 W" in probe.reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (FREEIPMI.replace(": Active", ": Not Available"), "not available"),
        (IPMITOOL.replace("activated", "deactivated"), "deactivated"),
        (FREEIPMI.replace("332 Watts", "0 Watts"), "0 Watts"),
        ("", "no DCMI power"),
    ],
)
def test_a_measurement_that_is_off_is_no_power(tmp_path: Path, said: str, reason: str) -> None:
    probe = ipmi(command(tmp_path, said)).probe()
    assert (probe.status, probe.grade) == ("broken", "M")
    assert reason in probe.reason


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("ipmi-dcmi: permission denied\n", "denied"),
        ("could not find inband device\n", "absent"),
        (f"{NO_REGISTRY}{CANNOT_OPEN}: No such file or directory\n", "absent"),
        (f"{NO_REGISTRY}{CANNOT_OPEN}: Permission denied\n", "denied"),
        ("ipmi_cmd_dcmi_get_power_reading: bad completion code\n", "broken"),
    ],
)
def test_a_command_that_cannot_ask_says_why(tmp_path: Path, said: str, status: str) -> None:
    """In the words of FreeIPMI 1.6 and ipmitool 1.8."""
    probe = ipmi(command(tmp_path, said, exit_code=1, to=2)).probe()
    assert probe.status == status
    assert ("/dev/ipmi0" in probe.advice) == (status == "denied")


def test_no_command_is_absent_and_a_wrong_one_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ipmi().probe().status == "absent"
    assert ipmi(tmp_path / "nothing").probe().status == "broken"
    command(tmp_path, FREEIPMI)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert ipmi().probe().status == "available"


# Redfish


def credentials(tmp_path: Path, service: RedfishService, mode: int = 0o600) -> Path:
    path = tmp_path / "credentials"
    path.write_text(f"{service.user}:{service.password}\n")
    path.chmod(mode)
    return path


def redfish(service: RedfishService, path: Path, **settings: Any) -> Redfish:
    said = {"energy_redfish_url": service.url, **settings}
    return Redfish(Roots(), Settings(energy_redfish_credentials=str(path), **said))


@pytest.mark.parametrize("is_new", [True, False])
def test_the_chassis_that_says_a_power_is_found_and_remembered(
    tmp_path: Path, *, is_new: bool
) -> None:
    """By the resources of newer and older services; the second time, it is asked directly."""
    with redfish_service(is_new=is_new) as service:
        source = redfish(service, credentials(tmp_path, service))
        assert source.probe().status == "available"
        service.asked.clear()
        service.power_w = 410.5
        assert source.power_w() == 410.5
        assert len(service.asked) == 1


def test_a_resource_can_be_named_itself(tmp_path: Path) -> None:
    with redfish_service() as service:
        url = f"{service.url}/redfish/v1/Chassis/1/EnvironmentMetrics"
        source = redfish(service, credentials(tmp_path, service), energy_redfish_url=url)
        assert source.power_w() == 332
        assert len(service.asked) == 1


def test_a_wrong_password_is_denied_and_one_that_others_can_read_is_not_used(
    tmp_path: Path,
) -> None:
    with redfish_service() as service:
        path = credentials(tmp_path, service)
        service.password = "changed"
        probe = redfish(service, path).probe()
        assert probe.status == "denied"
        assert "energy_redfish_credentials" in probe.advice
        probe = redfish(service, credentials(tmp_path, service, 0o644)).probe()
        assert (probe.status, probe.advice) == ("broken", f"chmod 600 {path}")


def test_no_service_named_is_absent_and_none_there_is_broken(tmp_path: Path) -> None:
    assert Redfish(Roots(), Settings()).probe().status == "absent"
    with redfish_service() as service:
        source = redfish(service, credentials(tmp_path, service))
    probe = source.probe()
    assert probe.status == "broken"
    assert "refused" in probe.reason


def test_a_certificate_must_be_the_one_that_was_named(tmp_path: Path) -> None:
    """Controllers sign their own, for no host at all."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=bmc"],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with redfish_service(tls=tls) as service:
        path = credentials(tmp_path, service)
        assert redfish(service, path, energy_redfish_ca=str(certificate)).power_w() == 332
        probe = redfish(service, path).probe()
        assert probe.status == "broken"
        assert "certificate" in probe.reason


# The thread


class Asked(SlowSource):
    """A controller that answers when the test lets it."""

    name = "asked"
    min_interval_s = 0.0

    def __init__(self, *answers: float | Exception) -> None:
        super().__init__()
        self._answers = list(answers)
        self.goes_on, self.is_waiting = threading.Semaphore(0), threading.Semaphore(0)

    def power_w(self) -> float:
        self.is_waiting.release()
        self.goes_on.acquire()
        answer = self._answers.pop(0) if self._answers else 0.0
        if isinstance(answer, Exception):
            raise answer
        return answer

    def next(self) -> None:
        """Let one question be answered, and wait until the next is asked."""
        self.goes_on.release()
        assert self.is_waiting.acquire(timeout=30)


def test_reading_waits_for_no_answer_and_tells_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Asked(100.0, Unanswered("denied", "no"), 50.0)
    now_ns = 7_000_000_000
    monkeypatch.setattr(slow, "boottime_ns", lambda: now_ns)
    source.open()
    assert source.is_waiting.acquire(timeout=30)
    assert source.read() == []
    source.next()
    (first,), (again,) = source.read(), source.read()
    assert (first.value, first.status, first.kind) == (100_000_000, "ok", "power")
    assert (again.status, again.at_boot_ns) == ("stale", first.at_boot_ns)
    source.next()
    assert [one.status for one in source.read()] == ["denied"]
    source.close()
    source.goes_on.release()


def test_a_controller_that_answers_nonsense_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever its answer breaks: the thread goes on."""
    monkeypatch.setattr(slow, "boottime_ns", lambda: 7_000_000_000)
    source = Asked(http.client.BadStatusLine("?"), 50.0)
    source.open()
    assert source.is_waiting.acquire(timeout=30)
    source.next()
    assert [one.status for one in source.read()] == ["gone"]
    source.next()
    assert [one.value for one in source.read()] == [50_000_000]
    source.close()
    source.goes_on.release()


def test_an_answer_that_is_old_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = [1_000_000_000]
    monkeypatch.setattr(slow, "boottime_ns", lambda: now_ns[0])
    source = Asked(100.0)
    monkeypatch.setattr(Asked, "min_interval_s", 10.0)
    source.open()
    assert source.is_waiting.acquire(timeout=30)
    source.goes_on.release()
    while not (said := source.read()):
        pass
    assert [one.status for one in said] == ["ok"]
    now_ns[0] = 40_000_000_000
    assert [one.status for one in source.read()] == ["gone"]
    source.close()
