"""Sites feed a server of CMF's and drain it; here it is one that stands in for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import cmf
from support.cmf_server import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Cmfd = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server."""
    with serving() as found:
        yield found


@pytest.fixture
def fed(cmfd: Cmfd, tmp_path: Path) -> None:
    """Give the site two executions."""
    (tmp_path / "a.json").write_text(json.dumps(cmf.document()))
    cmfd("import", "cmf", str(tmp_path / "a.json"))


def executions(said: Any) -> list[Any]:
    """Return the executions of a document."""
    return [e for p in said["Pipeline"] for s in p["stages"] for e in s["executions"]]


@pytest.mark.usefixtures("fed")
def test_a_pipeline_goes_there_and_comes_back(cmfd: Cmfd, server: Server) -> None:
    """The same executions; what its database has no room for is said, and goes as text."""
    (done,) = cmfd("push", server.url, "--pipeline", "Tracks", "--json")
    assert (done["state"], done["n_executions"]) == ("success", 2)
    assert done["as_text"] == ["Tracks/Train: n_est", "scores: loss"]
    assert len(executions({"Pipeline": server.pipelines.values()})) == 2
    (again,) = cmfd("push", server.url, "--json")
    assert again["state"] == "exists"

    taken = cmfd("pull", server.url, "--json", site="other")
    assert [one["state"] for one in taken] == ["new", "new"]
    ours, theirs = (executions(cmfd("export", "cmf", site=one)) for one in ("site", "other"))
    assert [e["properties"] for e in ours] == [e["properties"] for e in theirs]
    assert theirs[1]["custom_properties"]["n_est"] == str(2**63)
    for site in ("other", "site"):  # a copy says less than what it is of
        known = cmfd("pull", server.url, "--pipeline", "Tracks", "--json", site=site)
        assert [one["state"] for one in known] == ["known", "known"]
    began = [[one["began_ns"] for one in cmfd("runs", "--json", site=s)] for s in ("site", "other")]
    assert began[0] == began[1]


@pytest.mark.usefixtures("fed")
def test_a_server_goes_by_a_name(cmfd: Cmfd, server: Server) -> None:
    """As other remotes, for what can be done with it; there is no port to remember."""
    cmfd("remote", "add", "cmf", server.url)
    assert server.url in cmfd("remote", "list")
    assert cmfd("push", "cmf", "--json")[0]["state"] == "success"
    assert {one["state"] for one in cmfd("pull", "cmf", "--json")} == {"known"}
    assert "only cmfd push and cmfd pull" in cmfd("fetch", "cmf", code=3)
    assert "has no remote 'hub'" in cmfd("push", "hub", code=4)
    assert "with a password in it" in cmfd("remote", "add", "x", "cmf+http://a:b@host", code=3)


@pytest.mark.usefixtures("fed")
def test_what_the_server_does_not_take_or_have_is_said(cmfd: Cmfd, server: Server) -> None:
    """With exit codes: no such pipeline, a refusal, no server."""
    assert "Tracks not found" in cmfd("pull", server.url, "--pipeline", "Tracks", code=4)
    assert "404" in cmfd("push", f"{server.url}/elsewhere", code=19)
    assert "all that can be chosen" in cmfd("push", server.url, "--user", "ada", code=2)
    assert "no signatures" in cmfd("push", server.url, "--sign", __file__, code=2)
    assert "names no server" in cmfd("pull", "cmf+http://", code=3)
    assert "cannot be reached" in cmfd("push", "cmf+http://127.0.0.1:9", code=19)
