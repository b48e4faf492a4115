"""A site with known runs, and commands run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.sites import ASite, Invoke, a_run, invoker, set_param
from support.wrapper import Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Return a site without runs."""
    return ASite(tmp_path / "site")


@pytest.fixture
def three_runs(site: ASite) -> ASite:
    """Return a site with runs 0, 1, 2 (jobs of those names), two ranks each, and a loss."""
    contents = [a_run(n, loss=[3.0 - n, 2.0, 1.0, 1.5]) for n in range(3)]
    for number, content in enumerate(contents):
        set_param(content, number, "rate", "float", 0.1 * (number + 1))
    return site.take(*contents)


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site, in this process."""
    return invoker(site, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node with a daemon, for the tests of a module."""
    made = Node(tmp_path_factory.mktemp("node"), {"CMFD_SEAL_GRACE_S": "0.2"})
    yield from (made for _ in made.serve())


@pytest.fixture
def lone_node(tmp_path: Path) -> Node:
    """Return a node without a daemon, where none is started."""
    return Node(tmp_path, {"CMFD_AUTOSTART": "false"})
