"""Figures for Prometheus: its own tool finds nothing wrong with them, whatever they are of."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from support.programs import program
from support.reports import HOSTILE, a_report

import cmfd
from cmfd.config import Settings
from cmfd.daemon.effects import JobHere
from cmfd.daemon.energy_metrics import Exposer
from cmfd.daemon.scrape import Endpoint
from cmfd.errors import ConfigError
from cmfd.exposition import Family, Sample, text, write_textfile
from cmfd.report import prometheus

if TYPE_CHECKING:
    from pathlib import Path

RUN, OTHER_RUN = b"r" * 16, b"q" * 16


def check(figures: str) -> None:
    """Have promtool read figures, and say what it does not like of them."""
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "metrics"],
        input=figures, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), figures


def figures_of(exposed: str) -> dict[str, float]:
    """Return figures by what stands before them."""
    lines = [line for line in exposed.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.mark.parametrize("by", ["user", "stage", "job", "run"])
def test_promtool_likes_reports(by: str) -> None:
    """Groups by whatever, job cards, and names of users with quotes, lines and backslashes."""
    name = HOSTILE + '\n"} 5\\'
    for report in (a_report(by=by, name=name), a_report(cards=2, name=name)):
        check(prometheus.render(report))


def test_a_report_says_what_the_model_says() -> None:
    """Joules, grams and seconds, by group; what Prometheus calls a job is no batch job."""
    found = figures_of(prometheus.render(a_report()))

    assert found['cmfd_report_energy_joules{user="bob",component="cpu",grade="B"}'] == 5.225e6
    assert found['cmfd_report_emissions_grams{user="bob",kind="operational"}'] == 855.0
    assert found['cmfd_report_runs{user="bob",state="TIMEOUT"}'] == 2
    assert found['cmfd_report_node_energy_joules{node="node001",component="cpu",source="rapl"}']
    assert "job_id=" in prometheus.render(a_report(by="job"))
    assert " job=" not in prometheus.render(a_report(by="job"))


def test_what_is_not_known_has_no_figure() -> None:
    """A missing figure is no zero, and no NaN."""
    families = [
        Family("cmfd_a_joules", "gauge", "A.", []),
        Family("cmfd_b_joules", "gauge", "B.", [Sample({"node": ""}, float("nan"))]),
        Family("cmfd_c_joules", "gauge", "C.", [Sample({"node": ""}, 1.5)]),
    ]

    assert figures_of(text(families)) == {"cmfd_c_joules": 1.5}


def a_sum(owner: str, uj: int, **more: str) -> dict[str, object]:
    """Return a sum as of the status document."""
    return {
        "owner": owner, "run": "", "component": "cpu", "domain": "", "source": "rapl", "grade": "B",
        "role": "count", "uj": uj, **more,
    }  # fmt: skip


TOLD = {
    "tick_s": 0.002,
    "sources": [
        {"source": "rapl", "status": "available"}, {"source": "nvml", "status": "absent"},
    ],
    "totals": [
        a_sum("counter", 10_000_000), a_sum("counter", 9_000_000, source="dcmi", role="check"),
        a_sum("run", 4_000_000, run=RUN.hex()), a_sum("run", 2_000_000, run=RUN.hex(), domain="x"),
        a_sum("run", 1_000_000, run=OTHER_RUN.hex()), a_sum("idle", 2_500_000),
        a_sum("system", 500_000),
    ],
}  # fmt: skip
"""What a daemon says of its energy: of a run that is here, and one that is over."""


def test_a_daemon_tells_of_its_node_its_jobs_and_itself(tmp_path: Path) -> None:
    """With the names that Prometheus' conventions ask for, and nothing of jobs that are over."""
    path = tmp_path / "cmfd.prom"
    exposer = Exposer(Settings(prometheus_textfile=str(path)), "n1")
    exposer.tell(TOLD, [RUN], [JobHere(RUN, "4711", 1000), JobHere(OTHER_RUN, "4712", 1000)])
    exposer.tell(TOLD, [RUN], [JobHere(RUN, "4711", 1000)])

    told = path.read_text(encoding="utf-8")
    check(told)
    run = f'run="{RUN.hex()}",job_id="4711",uid="1000"'
    assert figures_of(told) == {
        'cmfd_node_energy_joules_total{node="n1",component="cpu",source="rapl",grade="B"}': 10,
        f'cmfd_job_energy_joules_total{{node="n1",{run},component="cpu",grade="B"}}': 6,
        'cmfd_energy_unattributed_joules_total{node="n1",owner="idle",component="cpu"}': 2.5,
        'cmfd_energy_unattributed_joules_total{node="n1",owner="system",component="cpu"}': 0.5,
        'cmfd_source_up{node="n1",source="rapl"}': 1,
        'cmfd_source_up{node="n1",source="nvml"}': 0,
        'cmfd_sampler_tick_seconds_sum{node="n1"}': 0.004,
        'cmfd_sampler_tick_seconds_count{node="n1"}': 2,
        f'cmfd_build_info{{node="n1",version="{cmfd.__version__}"}}': 1,
    }
    exposer.close()
    assert not path.exists()


def test_a_daemon_that_nobody_asked_tells_nobody(tmp_path: Path) -> None:
    """No file, no port: off unless it is set."""
    exposer = Exposer(Settings(node_dir=tmp_path), "n1")
    exposer.tell(TOLD, [RUN], [])
    exposer.close()

    assert list(tmp_path.iterdir()) == []


def test_who_asks_on_this_machine_is_answered() -> None:
    """Only /metrics, in the format that Prometheus names; then nobody is."""
    endpoint = Endpoint("127.0.0.1:0", lambda: "cmfd_a_joules 1\n")
    place = f"http://127.0.0.1:{endpoint.port}"
    with urlopen(f"{place}/metrics") as answer:
        assert answer.read() == b"cmfd_a_joules 1\n"
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{place}/")
    refused.value.close()
    assert refused.value.code == 404

    endpoint.close()

    with pytest.raises(URLError):
        urlopen(f"{place}/metrics")


def test_a_socket_is_this_users_and_groups(tmp_path: Path) -> None:
    """Who may not open it learns nothing; one that a killed daemon left is replaced."""
    path = tmp_path / "metrics.sock"
    path.touch()
    endpoint = Endpoint(f"unix:{path}", lambda: "cmfd_a_joules 1\n")

    assert path.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.endswith(b"\r\n\r\ncmfd_a_joules 1\n")
    endpoint.close()
    assert not path.exists()


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:9177", "9177", "example.org:80", "127.0.0.1:x", "[::]:1"]
)
def test_no_other_machine_can_ask(listen: str) -> None:
    """What jobs take is not for the network, unless somebody puts a proxy there on purpose."""
    with pytest.raises(ConfigError, match="prometheus_listen"):
        Endpoint(listen, str)


def test_what_cannot_be_told_stops_no_daemon(tmp_path: Path) -> None:
    """A directory that is not there, a place that is none: a warning, and counting goes on."""
    settings = Settings(
        prometheus_textfile=str(tmp_path / "no" / "cmfd.prom"), prometheus_listen="nowhere"
    )
    exposer = Exposer(settings, "n1")
    exposer.tell(TOLD, [], [])
    exposer.tell(TOLD, [], [])
    exposer.close()


def test_a_textfile_is_whole_or_not_there(tmp_path: Path) -> None:
    """The collector reads at any time, as another user; what is being written has another name."""
    path = tmp_path / "cmfd.prom"
    families = [Family("cmfd_a_joules", "gauge", "A.", [Sample({}, 1)])]

    write_textfile(path, families)
    write_textfile(path, families)

    assert path.read_text(encoding="utf-8") == text(families)
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_textfile_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    """A full disk, or a directory in its place: an error, and nothing lies about."""
    path = tmp_path / "cmfd.prom"
    path.mkdir()

    with pytest.raises(OSError, match=r"cmfd\.prom"):
        write_textfile(path, [])

    assert list(tmp_path.iterdir()) == [path]
