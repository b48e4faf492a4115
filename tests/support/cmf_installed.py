"""CMF's own server, as its package brings it, over a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.cmflib import PYTHON
from support.daemons import wait_until
from support.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = ("server", "uvicorn", "asyncpg", "httpx", "jsonpath_ng", "dotenv", "multipart")
"""What it imports, beside what cmflib brings."""

_START_S = 120.0


def missing() -> str:
    """Return what of it the Python that has cmflib lacks; empty if it has all."""
    return _asked(f"print(*(n for n in {_NEEDED} if not i.find_spec(n)))")


def _asked(statement: str) -> str:
    command = [os.environ[PYTHON], "-P", "-c", f"import importlib.util as i; {statement}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """
    Have it serve while the block runs.

    Parameters
    ----------
    path : Path
        A new directory, for what it writes.

    Yields
    ------
    str
        Its address, ``http://HOST:PORT``.
    """
    path.mkdir()
    _copy(path)
    port = free_port()
    database = Server(port)
    try:
        url = f"http://127.0.0.1:{free_port()}"
        with (path / "log").open("w") as log:
            process = _started(path, port, url, log.fileno())
            try:
                wait_until(lambda: process.poll() is not None or answers(url), "ready", _START_S)
                assert process.poll() is None, (path / "log").read_text()[-4000:]
                yield url
            finally:
                process.terminate()
                process.wait()
    finally:
        database.remove()


def _copy(path: Path) -> None:
    """Copy its sources; in the copy it writes where it may, and not below the root."""
    package = Path(_asked("print(i.find_spec('server').origin)")).parent
    shutil.copytree(package, path / "server")
    for source in path.rglob("*.py"):
        text = source.read_text("utf-8")
        source.write_text(text.replace("/cmf-server/data", str(path / "data")), "utf-8")
    (path / "data" / "static").mkdir(parents=True)


def _started(path: Path, port: int, url: str, log: int) -> subprocess.Popen[bytes]:
    environ = {
        **os.environ, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(port),
        "POSTGRES_USER": "cmfd", "POSTGRES_PASSWORD": "none", "POSTGRES_DB": "postgres",
        "REACT_APP_CMF_API_URL": url,
    }  # fmt: skip
    words = ("-m", "uvicorn", "server.app.main:app", "--host", "127.0.0.1")
    return subprocess.Popen(
        [os.environ[PYTHON], *words, "--port", url.rpartition(":")[2]],
        cwd=path, env=environ, stdout=log, stderr=log,
    )  # fmt: skip


def answers(url: str) -> bool:
    """Tell whether it does."""
    try:
        with urllib.request.urlopen(f"{url}/api/pipelines", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """Return a port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
