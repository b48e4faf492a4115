"""A job that goes back into the queue: several runs, that know of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.packs import Content, an_id, small_run, write_pack

from cmfd.errors import NotFoundError
from cmfd.merge.batch import merge_site
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.report.runs import head_lines

if TYPE_CHECKING:
    from pathlib import Path

JOB = "4711"


def start(number: int, restart: int, *, job: str = JOB, cluster: str = "c") -> Content:
    """Return a run as a start of a job."""
    content = small_run(number)
    ((run, at_ns, origin, uid, _, _, _, *more),) = content["run"]
    content["run"] = [(run, at_ns, origin, uid, cluster, job, restart, *more)]
    return content


def site(path: Path, *contents: Content) -> Path:
    """Return a site of runs."""
    packs = [write_pack(path / "packs", content) for content in contents]
    merge_site(path / "site", packs)
    return path / "site"


def test_each_start_names_the_others(tmp_path: Path) -> None:
    """With how it ended, the earliest first."""
    place = site(tmp_path, *(start(n, n) for n in range(3)), start(7, 0, job="8"))
    with open_index(place) as db:
        middle = runs.detail(db, runs.find(db, an_id("run", 1).hex()))
        alone = runs.detail(db, runs.find(db, "8"))
    others = [(one.run, one.restart, one.status) for one in middle.other_starts]
    assert others == [(an_id("run", n).hex(), n, "completed") for n in (0, 2)]
    assert "before it (completed), " in "\n".join(head_lines(middle))
    assert alone.other_starts == []
    assert not [line for line in head_lines(alone) if line.startswith("starts")]


def test_a_job_goes_by_its_last_start(tmp_path: Path) -> None:
    """Which is what became of it."""
    with open_index(site(tmp_path, start(1, 1), start(2, 0), start(3, 2))) as db:
        assert runs.run_of(db, runs.find(db, JOB)).restart == 2


def test_a_number_that_is_a_job_of_two_clusters_means_neither(tmp_path: Path) -> None:
    """A person says which."""
    place = site(tmp_path, start(1, 0), start(2, 1), start(3, 0, cluster="d"))
    with open_index(place) as db, pytest.raises(NotFoundError, match="may be any") as raised:
        runs.find(db, JOB)
    assert an_id("run", 1).hex() not in str(raised.value)
    assert an_id("run", 2).hex() in str(raised.value)
    assert an_id("run", 3).hex() in str(raised.value)


def test_runs_without_a_job_are_no_starts_of_it(tmp_path: Path) -> None:
    """Nothing has many."""
    place = site(tmp_path, start(1, 0, job="", cluster=""), start(2, 0, job="", cluster=""))
    with open_index(place) as db:
        assert runs.detail(db, runs.find(db, "last")).other_starts == []
