"""Packs that were made to hurt: each is refused with a reason, and the site is as it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from support.exchange import MakeSite, digest, to
from support.hostile import endless, offered
from support.packs import Content, Value, an_id, small_run, write_pack

from cmfd.cli.main import cli
from cmfd.errors import PackError, StoreError
from cmfd.merge import inspected
from cmfd.merge.batch import merge_site
from cmfd.merge.inspect import shared
from cmfd.merge.layout import INCOMING, PARTIAL_SUFFIX
from cmfd.merge.rules import Pusher
from cmfd.merge.strangers import is_strangers
from cmfd.query.index import open_index
from cmfd.query.runs import recent
from cmfd.store.columns import encode
from cmfd.store.pack import sha256_of
from cmfd.sync.exchange import push
from cmfd.sync.local import SitePeer
from cmfd.sync.stdio import Pipe, StdioPeer

if TYPE_CHECKING:
    from cmfd.merge.layout import Site
    from cmfd.sync.peer import Blocks

Change = Callable[[sqlite3.Connection], object]


def changed(directory: Path, change: Change) -> Path:
    """Make a pack in which something was changed, under the name that its content has then."""
    pack = write_pack(directory, small_run(1))
    with closing(sqlite3.connect(pack, isolation_level=None)) as db:
        change(db)
    return pack.rename(directory / f"{sha256_of(pack)}.db")


def a_tree_without_end(db: sqlite3.Connection) -> None:
    (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'").fetchone()
    (path,) = (Path(row[2]) for row in db.execute("PRAGMA database_list"))
    path.write_bytes(endless(path.read_bytes(), root))


def values_of(n_values: int) -> bytes:
    return encode(np.zeros(n_values, np.int64), np.zeros(n_values, np.int64), np.zeros(n_values))


CHANGES: dict[str, Change] = {
    "a trigger": lambda db: db.execute(
        "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END"
    ),
    "a view in a table's place": lambda db: db.executescript(
        "DROP TABLE link; CREATE VIEW link AS SELECT * FROM run"
    ),
    "a view without end": lambda db: db.execute(
        "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c)"
        " SELECT x FROM c"
    ),
    "an index more": lambda db: db.execute("CREATE INDEX i ON run (name)"),
    "a virtual table": lambda db: db.execute("CREATE VIRTUAL TABLE f USING fts5(x)"),
    "a tree without end": a_tree_without_end,
    "values that are more than they say": lambda db: db.execute(
        "UPDATE chunk SET data = ?", (values_of(1 << 20),)
    ),
    "very many values in few bytes": lambda db: db.execute(
        "UPDATE chunk SET n_values = 1 << 20, data = ?", (values_of(1 << 20),)
    ),
    "values that are none": lambda db: db.execute("UPDATE chunk SET data = zeroblob(10)"),
    "a number that is a path": lambda db: db.execute("UPDATE chunk SET value_min = '../../etc'"),
    "an id that is none": lambda db: db.execute("UPDATE execution SET execution = x'00'"),
    "an artifact without a digest": lambda db: db.execute("UPDATE artifact SET digest = '../x'"),
    "another's document": lambda db: db.execute(
        "INSERT INTO environment VALUES ('sha256:00', '{}')"
    ),
    "members of another's slice": lambda db: db.execute(
        "INSERT INTO slice_members VALUES ('sha256:00', '{}')"
    ),
    "a parameter of another type": lambda db: db.execute("UPDATE param SET value = x'00'"),
    "two labels": lambda db: db.execute("INSERT INTO pack SELECT * FROM pack"),
    "a huge value": lambda db: db.execute(
        "INSERT INTO environment VALUES ('sha256:00', hex(zeroblob(40000000)))"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("is_large", [False, True], ids=["in-memory", "in-its-file"])
def test_a_hostile_pack_is_kept_apart_and_does_nothing(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    """Its digest is right; it is in quarantine with a reason, and the next pack is taken."""
    if is_large:  # for a copy of this process, which has all that it has mapped
        monkeypatch.setattr("cmfd.store.pack._COPIED_BYTES", 0)
        monkeypatch.setattr("cmfd.merge.reader._may_fork", lambda: True)
        monkeypatch.setattr(inspected, "MEMORY_BYTES", inspected.MEMORY_BYTES << 6)
    shared.close()
    site = make_site("site", 2)
    before = digest(site)
    for what, change in CHANGES.items():
        pack = changed(tmp_path / what.replace(" ", "-"), change)
        with pytest.raises(PackError, match="kept apart"):
            offered(site, pack)
        assert (site.quarantine / pack.name).exists(), what
        assert (site.quarantine / f"{pack.name}.reason.txt").read_text(), what
    assert SitePeer(site).n_waiting() == 0
    assert digest(site) == before
    offered(site, write_pack(tmp_path / "good", small_run(3)))
    assert merge_site(site.path).absorbed == 1


def test_a_reason_is_written_through_no_link(make_site: MakeSite, tmp_path: Path) -> None:
    """Whoever may write to the quarantine could have a file of its operator's overwritten."""
    site = make_site("site")
    pack = changed(tmp_path / "packs", CHANGES["a trigger"])
    precious = tmp_path / "precious"
    precious.write_text("mine")
    site.quarantine.mkdir()
    why = site.quarantine / f"{pack.name}.reason.txt"
    why.symlink_to(precious)
    with pytest.raises(PackError, match="kept apart"):
        offered(site, pack)
    assert precious.read_text() == "mine"
    assert not why.is_symlink()
    assert why.read_text().startswith("foreign: not the schema of a pack: t")


def test_many_that_come_at_once_do_not_fill_its_disk_either(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When each began, there was room for it."""
    site = make_site("site")
    pack = write_pack(tmp_path / "packs", small_run(1))
    size_bytes = pack.stat().st_size
    monkeypatch.setattr("cmfd.sync.local._CHECKED_BYTES", 1000)
    monkeypatch.setenv("CMFD_SITE_INCOMING_BYTES", str(size_bytes))

    def beside_another(_offset: int) -> Blocks:
        yield pack.read_bytes()[:2000]
        (site.path / "incoming" / f"{'0' * 64}.part").write_bytes(bytes(3000))
        yield pack.read_bytes()[2000:]

    with pytest.raises(StoreError, match="site_incoming_bytes"):
        SitePeer(site).write(pack.stem, size_bytes, beside_another)
    (site.path / "incoming" / f"{'0' * 64}.part").unlink()
    offered(site, pack)


def test_what_is_no_part_of_a_site_does_not_fill_its_disk(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of cut packs no more comes than may, and what is none is thrown away where that is full."""
    site = make_site("site")
    good = write_pack(tmp_path / "good", small_run(1))
    bad = changed(tmp_path / "packs", CHANGES["a trigger"])
    monkeypatch.setenv("CMFD_SITE_INCOMING_BYTES", "1000")
    with pytest.raises(StoreError, match=r"nothing was taken.*cmfd site gc"):
        offered(site, good)
    monkeypatch.setenv("CMFD_SITE_INCOMING_BYTES", "0")
    monkeypatch.setenv("CMFD_SITE_QUARANTINE_BYTES", "1000")
    with pytest.raises(PackError, match=r"thrown away.*cmfd site gc"):
        offered(site, bad)
    assert not site.quarantine.exists()
    offered(site, good)
    assert merge_site(site.path).absorbed == 1


def a_circle() -> Content:
    """Return runs that came from each other, executions in each other, artifacts in each other."""
    content: Content = {}
    for number in (1, 2):
        other = 3 - number
        for table, rows in small_run(number).items():
            content.setdefault(table, []).extend(rows)
        (execution, *rest) = content["execution"][-1]
        content["execution"][-1] = (execution, *rest[:3], an_id("exec", other), *rest[4:])
        event = next(row for row in content["event"] if row[0] == execution)
        content["event"].append((execution, "input", f"md5:{other:032x}", *event[3:]))
        said = (1, an_id("proc", 0))
        link = (f"md5:{number:032x}", "contains", f"md5:{other:032x}", "x", *said)
        content.setdefault("link", []).append(link)
    deep = "[" * 100_000 + "]" * 100_000
    content["param"].append((an_id("exec", 1), "deep", "json", deep, 1, an_id("proc", 0), 0))
    return content


@pytest.mark.slow
def test_circles_and_depths_are_merged_and_every_question_ends(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Packs can be a circle together that are none alone: readers trust in none."""
    site = make_site("site")
    offered(site, write_pack(tmp_path / "packs", a_circle()))
    assert merge_site(site.path).absorbed == 1
    with open_index(site.path) as db:
        runs = [run.run for run in recent(db)]
    assert len(runs) == 2
    one = f"md5:{1:032x}"
    for words in (
        ("show", runs[0]), ("params", runs[0]), ("compare", *runs), ("log",), ("impact", one),
        ("lineage", "up", one), ("lineage", "down", one), ("report", "runtime", runs[0]),
    ):  # fmt: skip
        done = CliRunner().invoke(cli, [*words, "--site", str(site.path)])
        assert done.exception is None or isinstance(done.exception, SystemExit), words
        assert done.exit_code == 0, (words, done.output)


ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
EVE = 54321


def given(site: Site, pack: Path, uid: int) -> Path:
    """Put a pack into an inbox as another user does."""
    site.inbox.mkdir(exist_ok=True)
    there = pack.rename(site.inbox / pack.name)
    os.chown(there, uid, -1)
    return there


def with_rules(site: Site, text: str) -> Site:
    path = site.path / "rules.toml"
    path.write_text(text)
    path.chmod(0o644)
    return site


@pytest.mark.slow
@ONLY_ROOT
def test_what_another_user_put_into_an_inbox_is_read_apart_and_copied(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """What is kept is the merger's: its maker can change it no more. What is hostile stays out."""
    site = make_site("site")
    good = given(site, write_pack(tmp_path / "packs", small_run(1)), EVE)
    hostile = given(site, changed(tmp_path / "hostile", CHANGES["a tree without end"]), EVE)
    report = merge_site(site.path)
    assert report.absorbed == 1
    assert [path.name for path, _ in report.quarantined] == [hostile.name]
    assert not good.exists()
    assert site.merged(good.stem).stat().st_uid == 0
    assert not site.merged(hostile.stem).exists()
    assert merge_site(site.path).absorbed == 0


@ONLY_ROOT
@pytest.mark.parametrize("leads", [True, False])
def test_a_link_of_another_user_is_not_followed_whatever_it_leads_to(
    make_site: MakeSite, tmp_path: Path, *, leads: bool
) -> None:
    """Whom it belongs to is asked of the link: what it leads to can be another thing at once."""
    site = make_site("site")
    pack = write_pack(tmp_path / "packs", small_run(1))
    site.inbox.mkdir(exist_ok=True)
    link = site.inbox / pack.name
    link.symlink_to(pack if leads else tmp_path / "nowhere")
    os.chown(link, EVE, -1, follow_symlinks=False)
    assert is_strangers(link)
    ((_, reason),) = merge_site(site.path).quarantined
    assert reason == "foreign: it is a link"


@ONLY_ROOT
@pytest.mark.parametrize("is_link", [True, False])
def test_what_another_user_brings_again_is_copied(
    make_site: MakeSite, tmp_path: Path, *, is_link: bool
) -> None:
    """Of a pack whose file was lost: among those that are merged is nothing of anybody else's."""
    site = make_site("site", 1)
    (lost,) = site.merged_packs()
    there = lost.rename(tmp_path / lost.name)
    again = site.inbox / lost.name
    if is_link:
        again.symlink_to(there)
        os.chown(again, EVE, -1, follow_symlinks=False)
    else:
        given(site, there, EVE)
    report = merge_site(site.path)
    assert not again.is_symlink()
    assert not again.exists()
    if is_link:
        assert [reason for _, reason in report.quarantined] == ["foreign: it is a link"]
        assert not lost.is_symlink()
    else:
        assert lost.stat().st_uid == 0


@ONLY_ROOT
def test_the_kernel_says_who_put_a_pack_into_an_inbox(make_site: MakeSite, tmp_path: Path) -> None:
    """Whoever writes another's name into a pack may not push it, whichever way it comes."""
    site = with_rules(make_site("site"), '[[allow]]\nwho = ["user:*"]\nusers = ["self"]\n')
    forged = given(site, write_pack(tmp_path / "packs", small_run(1)), EVE)  # of ann, it says
    report = merge_site(site.path)
    assert report.absorbed == 0
    ((kept, reason),) = report.quarantined
    assert kept.name == forged.name
    assert reason == f"refused: user:{EVE} may not push what is of user 'ann'"


RULES = """
[[allow]]
who = ["as:ann"]
users = ["ann"]

[[allow]]
who = ["token:ci"]
pipelines = ["heat"]
"""
ANN, CI = Pusher("as", "ann"), Pusher("token", "ci")


@pytest.mark.slow
def test_a_pusher_brings_what_rules_allow(make_site: MakeSite) -> None:
    """A run of ann's, of pipeline digits: by ann, and by nobody else."""
    a, site = make_site("a", 1), with_rules(make_site("site"), RULES)
    for who in (CI, Pusher("user", "ann")):
        done = push(a, to(site), SitePeer(site, who=who))
        assert done.n_packs == 0
        assert "may" in done.left_out[0][1]
        assert not site.quarantine.exists()
    assert push(a, to(site), SitePeer(site, who=ANN)).n_packs == 1
    assert digest(a) == digest(site)


SAID = (1 << 60, an_id("proc", 9))


def energy_of(run: bytes, execution: bytes) -> tuple[Value, ...]:
    """Return a row of the energy of a run, or of nobody, on node n1."""
    owner = "run" if any(run) else "idle"
    what = ("cpu", "", "rapl", "count", 10**9, 10**9, 5, 0, 0, 10**9, "A", "exclusive", 0)
    return (1, "n1", an_id("boot", 1), owner, run, execution, *what, SAID[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        {"fact": [(an_id("run", 7), "state", *SAID, "str", "x")]},
        {"fact": [(an_id("exec", 7), "state", *SAID, "str", "x")]},
        {"run_end": [(an_id("run", 7), *SAID, "failed", 1, None)]},
        {"run": [(an_id("run", 7), 1, an_id("proc", 0), 0, "c", "7", 0, "ann", "", "", "")]},
        {"execution": [(an_id("exec", 7), 1, an_id("proc", 0), an_id("run", 8), None, "", "", "")]},
        {"note": [(an_id("note", 1), an_id("run", 7).hex(), "tag", "x", 1, 0, "ann")]},
        {"note": [(an_id("note", 1), an_id("run", 8).hex(), "tag", "x", 1, 0, "bob")]},
        {"delivery": [(an_id("run", 7), "n1", *SAID, 1, 0, 1)]},
        {"energy": [energy_of(an_id("run", 7), bytes(16))]},
        {"energy": [energy_of(an_id("run", 8), an_id("exec", 7))]},
        {"link": [(f"md5:{7:032x}", "same", f"md5:{9:032x}", "", *SAID)]},
        {"link": [(f"md5:{9:032x}", "contains", f"md5:{7:032x}", "x", *SAID)]},
        {"link": [(f"md5:{9:032x}", "same", f"md5:{10:032x}", "", *SAID)]},
        {"artifact": [(f"md5:{7:032x}", "", 11, 1)]},
        {"chunk": small_run(7)["chunk"]},
        {"chunk": small_run(6)["chunk"]},
        {
            "series": [(*row[:2], an_id("exec", 8), *row[3:]) for row in small_run(7)["series"]],
        },
    ],
)
def test_nobody_speaks_of_anothers_run(
    make_site: MakeSite, tmp_path: Path, content: Content
) -> None:
    """Neither late facts nor ends, notes, nor the run itself as if it were one's own."""
    bobs = small_run(7)
    ((*run, user, name, command, cwd),) = bobs["run"]
    assert user == "ann"
    bobs["run"] = [(*run, "bob", name, command, cwd)]
    site = make_site("site", 8)
    merge_site(site.path, [write_pack(tmp_path / "bobs", bobs)])
    with_rules(site, RULES)
    before = digest(site)
    pack = write_pack(tmp_path / "packs", content, sealed_ns=2)
    with pytest.raises(PackError, match="as:ann may not push what is of user"):
        offered(site, pack, ANN)
    assert digest(site) == before


def test_what_is_of_content_that_one_read_and_of_ones_own_nodes_comes_in(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Parts of it, that it is the same as something new; of other nodes, nothing."""
    allowed = '[[allow]]\nwho = ["as:ann"]\nusers = ["ann"]\nnodes = ["n1"]\n'
    site = with_rules(make_site("site", 8), allowed)
    read, new = f"md5:{8:032x}", f"md5:{80:032x}"
    run = small_run(20)
    run["link"] = [(f"md5:{20:032x}", "contains", new, "x", *SAID)]
    ledger: Content = {"energy": [energy_of(*NOBODY)]}
    later: Content = {"link": [(read, "same", new, "", *SAID)]}
    for number, content in enumerate((run, later, ledger)):
        offered(site, write_pack(tmp_path / "packs", content, sealed_ns=number), ANN)
    assert merge_site(site.path).absorbed == 3
    with_rules(site, '[[allow]]\nwho = ["as:ann"]\nnodes = ["n2"]\n')
    pack = write_pack(tmp_path / "packs", ledger, sealed_ns=9)
    with pytest.raises(PackError, match="as:ann may not push what is of node 'n1'"):
        offered(site, pack, ANN)


NOBODY = (bytes(16), bytes(16))


@pytest.mark.slow
@ONLY_ROOT
def test_where_rules_are_what_another_began_is_not_gone_on_with(make_site: MakeSite) -> None:
    """A file of his would be his push; and one of one's own that others could write, too."""
    a, site = make_site("a", 1), with_rules(make_site("site"), RULES)
    (pack,) = a.merged_packs()
    his = site.path / "incoming" / f"{pack.stem}.part"
    his.parent.mkdir()
    his.write_bytes(b"his")
    his.chmod(0o666)
    os.chown(his, EVE, -1)
    site.path.chmod(0o777)
    peer = SitePeer(site, who=ANN)

    def cut(_offset: int) -> Blocks:
        yield bytes(10)
        (own,) = set(his.parent.iterdir()) - {his}
        assert own.stat().st_mode & 0o777 == 0o600

    with pytest.raises(PackError, match="ended after 10 of"):
        peer.write(pack.stem, pack.stat().st_size, cut)
    assert list(his.parent.iterdir()) == [his]
    assert push(a, to(site), SitePeer(site, who=ANN)).n_packs == 1
    assert his.read_bytes() == b"his"
    assert not site.merged(pack.stem).stat().st_mode & 0o222
    assert digest(a) == digest(site)


@pytest.mark.slow
def test_a_forced_command_says_who_pushes(make_site: MakeSite) -> None:
    """As sshd runs it for a key: whatever the client asks for, this is who it is."""
    a, site = make_site("a", 1), with_rules(make_site("site"), RULES)
    for name, n_packs in (("bob", 0), ("ann", 1)):
        words = (sys.executable, "-m", "cmfd", "serve-stdio", "--as", name, str(site.path))
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            done = push(a, to(site), StdioPeer(Pipe(server.stdout, server.stdin, "site")))
            server.stdin.close()
        assert done.n_packs == n_packs
        assert all(f"as:{name} may push nothing here" in reason for _, reason in done.left_out)


def test_nothing_that_lies_where_a_pack_comes_holds_it_up(make_site: MakeSite) -> None:
    """Others may write there, too: a link, a directory, a pipe that nobody ever writes to."""
    here, hub = make_site("here", 1, 2, 3), make_site("hub")
    incoming = hub.path / INCOMING
    incoming.mkdir()
    link, directory, pipe = (
        incoming / f"{pack.stem}{PARTIAL_SUFFIX}" for pack in here.merged_packs()
    )
    link.symlink_to("nowhere")
    directory.mkdir()
    os.mkfifo(pipe)
    assert push(here, to(hub), SitePeer(hub)).n_packs == 3
    assert digest(hub) == digest(here)
    assert not (incoming / "nowhere").exists()
