"""Mergers killed at any instant: the next one finishes their work, and nothing shows of them."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from support.mergers import digest_of, files_of, lose_index, python
from support.oracle import rows_of, union
from support.packs import random_content, write_pack

from cmfd.merge.batch import merge_site
from cmfd.merge.gc import gc
from cmfd.merge.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from support.packs import Content

MERGE = """
import sys
from pathlib import Path
from cmfd.merge.batch import merge_site
print("ready", flush=True)
sys.stdin.readline()
merge_site(Path(sys.argv[1]), [Path(source) for source in sys.argv[2:]])
"""

REINDEX = """
import sys
from pathlib import Path
from cmfd.merge.reindex import reindex
print("ready", flush=True)
sys.stdin.readline()
reindex(Path(sys.argv[1]))
"""

HALF = """
import sys
from pathlib import Path
from cmfd.store.site import SiteStore
db = SiteStore(Path(sys.argv[1]))._db
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE process SET host = host || zeroblob(3000)")
print("half", flush=True)
sys.stdin.readline()
"""

N_PACKS = 24


@pytest.fixture(scope="module")
def contents() -> list[Content]:
    rng = random.Random(1)
    return [random_content(rng, 60) for _ in range(N_PACKS)]


@pytest.fixture(scope="module")
def packs(contents: list[Content], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("packs")
    for number, content in enumerate(contents):
        write_pack(directory, content, node=str(number))
    return directory


@pytest.fixture(scope="module")
def whole(packs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Return a site that was merged in peace, and how long that took."""
    site = tmp_path_factory.mktemp("whole")
    begun = time.perf_counter()
    merge_site(site, [packs])
    return site, time.perf_counter() - begun


def run_and_kill(program: str, *arguments: object, after_s: float) -> None:
    with python(program, *arguments) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        # The instant is what is drawn: this is no wait for something to happen.
        time.sleep(after_s)
        process.kill()


def check_finished(site: Path, whole: Path, contents: list[Content]) -> None:
    """Check that a site is what it is without any kill, to the last file."""
    assert digest_of(site) == digest_of(whole)
    assert rows_of(site / "index.db") == union(contents)
    assert verify(site).problems == []
    patterns = ("inbox/partial-*", "index-new-*", ".site.toml-*")
    for left in (path for pattern in patterns for path in site.glob(pattern)):
        os.utime(left, (0, 0))
    gc(site, remove=True)
    assert files_of(site) == files_of(whole)


def kill_mergers(
    site: Path, packs: Path, whole: tuple[Path, float], rng: random.Random, n_kills: int
) -> None:
    """Kill mergers that were given packs, or only find them in the inbox, one after another."""
    given = rng.random() < 0.5
    if not given:
        shutil.copytree(packs, site / "inbox")
    for _ in range(n_kills):
        # Merging takes about half as long as copying and merging.
        sources = [packs] if given else []
        run_and_kill(MERGE, site, *sources, after_s=rng.uniform(0, whole[1] / (2 - given)))


@pytest.mark.slow
def test_a_merger_killed_again_and_again_loses_nothing(
    tmp_path: Path, packs: Path, whole: tuple[Path, float], contents: list[Content]
) -> None:
    """Law 2, a few times; the slow tier does it often."""
    kill_mergers(tmp_path / "site", packs, whole, random.Random(), 5)
    merge_site(tmp_path / "site", [packs])
    check_finished(tmp_path / "site", whole[0], contents)


@pytest.mark.sqlite
def test_a_merge_with_nothing_to_merge_undoes_what_a_killed_one_left_half_done(
    tmp_path: Path, whole: tuple[Path, float]
) -> None:
    """Those who may only read the site cannot do it, and wait for it."""
    site = tmp_path / "site"
    shutil.copytree(whole[0], site)
    with python(HALF, site / "index.db") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert (site / "index.db-journal").stat().st_size > 0
    merge_site(site)
    assert "index.db-journal" not in files_of(site)
    assert digest_of(site) == digest_of(whole[0])


@pytest.mark.sqlite
def test_a_merge_clears_a_journal_that_a_killed_one_had_only_begun(
    tmp_path: Path, whole: tuple[Path, float]
) -> None:
    """Its header is not there yet, so that SQLite passes over it."""
    site = tmp_path / "site"
    shutil.copytree(whole[0], site)
    journal = site / "index.db-journal"
    journal.write_bytes(bytes(512))

    merge_site(site)

    assert journal.stat().st_size == 0
    assert digest_of(site) == digest_of(whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_eighty_killed_mergers_lose_nothing(
    tmp_path: Path, packs: Path, whole: tuple[Path, float], contents: list[Content], seed: int
) -> None:
    """Four on each of twenty sites: before, between and within commits, copies and renames."""
    kill_mergers(tmp_path / "site", packs, whole, random.Random(seed), 4)
    merge_site(tmp_path / "site", [packs])
    check_finished(tmp_path / "site", whole[0], contents)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_reindex_that_is_killed_leaves_an_index(
    tmp_path: Path, whole: tuple[Path, float], contents: list[Content], seed: int
) -> None:
    """The old one or the new one, or none for the next merge to make."""
    rng = random.Random(seed)
    site = tmp_path / "site"
    shutil.copytree(whole[0], site)
    if rng.random() < 0.5:
        lose_index(site)
    run_and_kill(REINDEX, site, after_s=rng.uniform(0, whole[1]))
    merge_site(site)
    check_finished(site, whole[0], contents)
