"""The Python query API: every question, by the names that commands take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.packs import an_id
from support.sites import ASite, a_run, set_param

from cmfd.errors import NotFoundError
from cmfd.query.site import Site

if TYPE_CHECKING:
    from pathlib import Path


def test_a_site_answers_every_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default site is that of the commands."""
    contents = [a_run(n, loss=[3.0 - n, 2.0]) for n in range(2)]
    set_param(contents[1], 1, "rate", "float", 0.5)
    path = ASite(tmp_path / "site").take(*contents).path
    monkeypatch.setenv("CMFD_SITE", str(path))
    monkeypatch.chdir(tmp_path)
    execution = [an_id("exec", n).hex() for n in range(2)]

    with Site() as site:
        assert site.path == path
        assert [run.job for run in site.runs(limit=1)] == ["1"]
        assert site.run("last").executions[0].execution == execution[1]
        assert site.points("last", "loss", rank=0).value.tolist() == [2.0, 2.0]
        assert [one.execution for one in site.search("rate = 0.5")] == [execution[1]]
        assert [one.value for one in site.best("digits", "loss").leaders] == [2.0, 2.0]
        assert site.up("last").artifacts == []
        written = site.down("last").artifacts[0].digest
        assert site.up(written).executions[0].execution == execution[1]
        assert site.best("digits", "loss", using=written).leaders == []
        assert site.impact(written).n_executions == 0
        assert {one.path for one in site.artifacts(kind="model")} == {"model.bin"}
        assert site.artifact(written).uses[0].direction == "output"
        assert site.recipe("last", check=False).outputs[0].digest == written
        assert "rate" in {one.key for one in site.diff("@-2", "last")}
    with pytest.raises(NotFoundError):
        Site(tmp_path / "nowhere")
