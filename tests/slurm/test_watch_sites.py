"""`cmfd merge --watch` of all sites that a template says."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.cluster.processes import wait_for
from support.packs import small_run, write_pack
from support.wrapper import CMFD

from cmfd.cli.watch_sites import WatchSites
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.slurm.spool import JobNote, text_of
from cmfd.store.pack import publish

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a place for sites of each user, with a queue beside them."""
    (tmp_path / "queue").mkdir()
    return tmp_path / "{account}" / "{user}"


def published(template: Path, number: int, *, account: str, user: str) -> Path:
    """Publish a pack to a user's site; returns the site."""
    site = template.parents[1] / account / user
    publish(write_pack(template.parents[1] / "packs", small_run(number)), site)
    return site


def queued(template: Path, job: str, *, account: str, user: str) -> Path:
    """Put a job into the queue, as EpilogSlurmctld does."""
    path = template.parents[1] / "queue" / f"c_{job}_0"
    note = JobNote(cluster="c", job=job, restart=0, uid=1000, user=user, account=account)
    path.write_text(text_of(note), "utf-8")
    return path


def test_every_site_is_merged_also_those_that_come_to_be_later(template: Path) -> None:
    """One service for all of a cluster's users."""
    service = WatchSites(template, lambda _seconds: False)
    sites = []
    for number, user in enumerate(("alice", "bob")):
        sites.append(published(template, number, account="chem", user=user))
        service.look()
        for site in sites:
            with open_index(site) as db:
                assert len(runs.recent(db, limit=9)) == 1
            assert not list((site / "inbox").iterdir())


def test_a_job_waits_at_the_site_of_its_user_once_that_is_there(template: Path) -> None:
    """The queue of all is where SLURM's controller may write, whoever's the job is."""
    service = WatchSites(template, lambda _seconds: False)
    path = queued(template, "1", account="chem", user="alice")
    service.look()
    assert path.exists()
    site = published(template, 1, account="chem", user="alice")
    service.look()
    assert not path.exists()
    assert (site / "queue" / path.name).exists()


def test_a_site_that_cannot_be_used_keeps_no_other_waiting(
    template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told of once; so is what is no job."""
    broken = published(template, 1, account="chem", user="alice")
    (broken / "site.toml").mkdir()
    (template.parents[1] / "queue" / "notes.txt").write_text("buy milk\n", "utf-8")
    site = published(template, 2, account="chem", user="bob")
    service = WatchSites(template, lambda _seconds: False)
    service.look()
    service.look()
    with open_index(site) as db:
        assert len(runs.recent(db, limit=9)) == 1
    told = capsys.readouterr().err
    assert told.count("site.toml") == told.count("notes.txt") == 1


def test_as_a_process_it_goes_on_until_it_is_told_to_end(template: Path) -> None:
    """The same command as for one site."""
    site = published(template, 1, account="chem", user="alice")
    command = [*CMFD, "merge", "--watch", "--interval", "0.05", "--site", str(template)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        wait_for((site / "index.db").exists, "the site is merged")
        service.send_signal(signal.SIGTERM)
        _, told = service.communicate(timeout=60)
    assert service.returncode == 0, told
    assert not (template.parents[1] / "{account}").exists()
