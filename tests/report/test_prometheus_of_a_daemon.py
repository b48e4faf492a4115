"""A real daemon with counters in a tree of files, and what it tells Prometheus of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.daemons import Daemon, wait_until
from support.sysfs import Powercap

if TYPE_CHECKING:
    from pathlib import Path


def _value(text: str, name: str, *labels: str) -> float:
    """Return the sum of the figures of a name with these labels."""
    found = [
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith(f"{name}{{") and all(label in line for label in labels)
    ]
    return sum(found)


def _asked(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return answer.decode().partition("\r\n\r\n")[2]


@pytest.mark.slow
def test_what_the_counters_moved_is_told_in_a_file_and_at_a_socket(tmp_path: Path) -> None:
    """Five joules of a package and two of its memory; who they are of adds up to them."""
    sys = tmp_path / "sys"
    counters = Powercap.intel(sys, n_packages=1)
    path, sock = tmp_path / "cmfd.prom", tmp_path / "metrics.sock"
    daemon = Daemon(
        tmp_path / "node", log=tmp_path / "log", energy="true", energy_sysfs=str(sys),
        energy_interval_s="0.2", energy_bucket_s="0.4",
        prometheus_textfile=str(path), prometheus_listen=f"unix:{sock}",
    ).start()  # fmt: skip

    def told() -> str:
        return path.read_text(encoding="utf-8") if path.exists() else ""

    try:
        wait_until(lambda: _value(told(), "cmfd_source_up", 'source="rapl"') == 1, "RAPL is up")
        counters.advance("intel-rapl:0", 5_000_000)
        counters.advance("intel-rapl:0:2", 2_000_000)
        name = "cmfd_node_energy_joules_total"
        wait_until(lambda: _value(told(), name, 'source="rapl"') == 7, "all joules are told")
        figures = told()
        assert _value(figures, name, 'component="cpu"') == 5
        assert _value(figures, name, 'component="dram"', 'grade="B"') == 2
        nobody = _value(figures, "cmfd_energy_unattributed_joules_total", 'component="cpu"')
        assert nobody + _value(figures, "cmfd_job_energy_joules_total", 'component="cpu"') == 5
        wait_until(lambda: _value(_asked(sock), name, 'source="rapl"') == 7, "at the socket, too")
        assert _value(figures, "cmfd_sampler_tick_seconds_count") >= 2
    finally:
        assert daemon.stop() == 0

    assert not path.exists()
    assert not sock.exists()
