"""A PostgreSQL server of the tests' own, and indices in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.programs import unavailable

from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.store.absorbing import Store

VARIABLE = "CMFD_SITE_INDEX"
NOBODY = 65534
_SETTINGS = "-c fsync=off -c full_page_writes=off -c shared_buffers=32MB"


class Server:
    """
    A server on a Unix socket, with its files in a directory of its own.

    It runs as nobody if this is root, as whom PostgreSQL does not run.

    Parameters
    ----------
    port : int
        Of this machine's loopback, for clients that know no sockets; 0: none.
    """

    def __init__(self, port: int = 0) -> None:
        self._listening = f"-c listen_addresses=127.0.0.1 -c port={port}"
        if not port:
            self._listening = "-c listen_addresses="
        self._bin = _programs()
        self._root = Path(tempfile.mkdtemp(prefix="cmfd-pg-", dir="/tmp"))
        if os.geteuid() == 0:
            os.chown(self._root, NOBODY, NOBODY)
        self._run(
            "initdb", "--no-sync", "-A", "trust", "-U", "cmfd", "-E", "UTF8", "--locale=C.UTF-8"
        )
        self.start()

    @property
    def directory(self) -> str:
        """Where its socket is: what libpq calls its host."""
        return str(self._root)

    @property
    def url(self) -> str:
        """Address of the database that is there from the beginning."""
        return f"postgresql:///postgres?host={self._root}&user=cmfd"

    @property
    def socket(self) -> str:
        """Path of its socket."""
        return f"{self._root}/.s.PGSQL.5432"

    def start(self) -> None:
        log = self._root / "log"
        options = f"-k {self._root} {self._listening} {_SETTINGS}"
        self._run("pg_ctl", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a machine that fails does: clients see their connections end."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._root)

    def _run(self, program: str, *arguments: object) -> None:
        ids: dict[str, Any] = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [str(self._bin / program), "-D", str(self._root / "data"), *map(str, arguments)],
            check=False, cwd=self._root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, **ids,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def _programs() -> Path:
    """Return where the programs of a server are: Debian has them outside of the path."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if not found and (there := shutil.which("initdb")):
        found = [Path(there).resolve()]
    if not found:
        unavailable("there is no initdb (Debian: postgresql)")
    return found[-1].parent


@contextmanager
def new_index(path: Path) -> Iterator[Store]:
    """Give a new index: a file, or a schema where these tests are run on PostgreSQL."""
    url = os.environ.get(VARIABLE, "")
    if not url:
        with closing(SiteStore(path)) as store:
            yield store
        return
    from cmfd.store.postgres import schema
    from cmfd.store.postgres.store import PostgresStore

    with closing(PostgresStore(url, f"test_{uuid.uuid4().hex}")) as index:
        try:
            yield index
        finally:
            schema.drop(index.db)
