"""`cmfd serve` as a process: it is killed while packs come, or told to end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from support.daemons import wait_until
from support.exchange import MakeSite, digest, to
from support.serving import token_for

from cmfd.errors import RemoteError
from cmfd.sync import remotes
from cmfd.sync.connect import connect
from cmfd.sync.exchange import push

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site

ENDS_S = 60


@contextmanager
def serving(site: Site, log: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server; yield its process and its address."""
    words = (
        sys.executable,
        "-m",
        "cmfd",
        "serve",
        "--site",
        site.path,
        "--listen",
        f"127.0.0.1:{port}",
    )
    with (
        log.open("ab") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            yield process, told.split()[-1]
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def kill_after(process: subprocess.Popen[str], log: Path, n_packs: int) -> None:
    """Kill a server when so many packs came."""
    wait_until(lambda: log.read_text().count("write_many") >= n_packs, "some came")
    process.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_while_packs_come_loses_nothing(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client says what is kept; with a new server, the next push ends what was begun."""
    site, a = make_site("hub"), make_site("a", *range(40))
    monkeypatch.setenv("CMFD_TOKEN", token_for(site, "ana"))
    # Each pack alone, so that it is killed between some of them.
    monkeypatch.setattr("cmfd.sync.far.BATCH_BYTES", 0)
    port = 0
    for n_packs in (1, 7, 20):
        log = tmp_path / f"log-{n_packs}"
        with serving(site, log, port) as (process, url):
            port = int(url.rpartition(":")[2])
            killer = threading.Thread(target=kill_after, args=(process, log, n_packs))
            killer.start()
            with (
                connect(remotes.Remote("hub", url)) as peer,
                pytest.raises(RemoteError, match="goes on from there"),
            ):
                push(a, to(site), peer)
            killer.join()
    with (
        serving(site, tmp_path / "log", port) as (_, url),
        connect(remotes.Remote("hub", url)) as peer,
    ):
        assert push(a, to(site), peer).n_packs < 40 - 7
    assert digest(a) == digest(site)


@pytest.mark.slow
def test_a_server_that_is_told_to_end_answers_what_it_was_asked(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """And takes nothing new; what it logged is one JSON document a line."""
    site, a = make_site("hub"), make_site("a", 1)
    token = token_for(site, "ana")
    (pack,) = a.merged_packs()
    data = pack.read_bytes()
    log = tmp_path / "log"
    with serving(site, log) as (process, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=ENDS_S) as wire:
            head = (
                f"PUT /v1/packs/{pack.stem} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}"
            )
            wire.sendall(f"{head}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:9000])
            partial = site.path / "incoming" / f"{pack.stem}.part"
            wait_until(partial.exists, "it comes")
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: _refuses(port), "nothing new is taken")
            wire.sendall(data[9000:])
            assert wire.recv(1000).startswith(b"HTTP/1.1 204")
        process.wait(ENDS_S)
    assert (site.inbox / pack.name).exists()
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["status"] for one in told if one["event"] == "request"] == [204]
    assert token not in log.read_text()


def test_what_must_not_be_served_is_not(make_site: MakeSite) -> None:
    """The command says why, with an exit code of its own, and listens nowhere."""
    site = make_site("hub")
    words = (sys.executable, "-m", "cmfd", "serve", "--site", site.path, "--listen", "0.0.0.0:0")
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=ENDS_S, env=os.environ
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "overheard; nothing listens" in done.stderr


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
