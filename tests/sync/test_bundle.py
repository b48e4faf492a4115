"""Packs in one file."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from support.exchange import MakeSite, add, digest, to

from cmfd.errors import StoreError
from cmfd.merge.batch import merge_site
from cmfd.sync import bundle, remotes
from cmfd.sync.exchange import push
from cmfd.sync.local import SitePeer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bundle_carries_a_site(make_site: MakeSite, tmp_path: Path) -> None:
    """What is there already is not taken again; nobody's name travels with it."""
    a, b = make_site("a", 1, 2, 3), make_site("b", 3, 4)
    file = tmp_path / "all.tar"
    assert bundle.create(a, file).n_packs == 3
    assert bundle.unbundle(b, file).n_packs == 2
    merge_site(b.path)
    add(a, 4)
    assert digest(a) == digest(b)
    with tarfile.open(file) as archive:
        assert {(one.uid, one.uname, one.mtime) for one in archive} == {(0, "", 0)}


def test_a_bundle_of_what_is_new_for_a_remote(make_site: MakeSite, tmp_path: Path) -> None:
    """Since the last push there."""
    a, hub = make_site("a", 1, 2), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    add(a, 3)
    since = remotes.progress(a, to(hub)).pushed
    assert bundle.create(a, tmp_path / "new.tar", since=since).n_packs == 1
    bundle.unbundle(hub, tmp_path / "new.tar")
    merge_site(hub.path)
    assert digest(a) == digest(hub)


def test_a_bundle_that_is_cut_goes_on_with_the_whole_one(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """At any byte; what came of it is kept."""
    a, b = make_site("a", 1, 2), make_site("b")
    whole = tmp_path / "whole.tar"
    bundle.create(a, whole)
    data = whole.read_bytes()
    cut = tmp_path / "cut.tar"
    with tarfile.open(whole) as archive:
        second = archive.getmembers()[2].offset
    for n_bytes in (0, 100, 600, 30_000, second, second + 9000):
        cut.write_bytes(data[:n_bytes])
        with pytest.raises(StoreError, match="again"):
            bundle.unbundle(b, cut)
    bundle.unbundle(b, whole)
    merge_site(b.path)
    assert digest(a) == digest(b)


def test_what_else_is_in_an_archive_goes_nowhere(make_site: MakeSite, tmp_path: Path) -> None:
    """Paths out of it, links, devices, other files, packs that are none."""
    b = make_site("b")
    file = tmp_path / "odd.tar"
    odd = [
        ("../../escaped.db", tarfile.REGTYPE),
        ("/escaped.db", tarfile.REGTYPE),
        ("notes.txt", tarfile.REGTYPE),
        ("a" * 64 + ".db", tarfile.SYMTYPE),
        ("b" * 64 + ".db", tarfile.CHRTYPE),
        ("c" * 64 + ".db", tarfile.REGTYPE),
    ]
    with tarfile.open(file, "w") as archive:
        for name, kind in odd:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            member.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"oops"))
    done = bundle.unbundle(b, file)
    assert done.n_packs == 0
    assert len(done.left_out) == len(odd)
    assert list(b.merged_packs()) == []
    assert SitePeer(b).n_waiting() == 0
    assert not list(tmp_path.rglob("escaped*"))


def header(kind: bytes, size_bytes: int) -> bytes:
    """Return a header of an archive."""
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, size_bytes
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "begin",
    [
        # Each is of the one that follows, deeper than one can go.
        (header(tarfile.XHDTYPE, 12) + b"12 path=abc\n".ljust(tarfile.BLOCKSIZE, b"\0")) * 2000,
        # Longer than any memory; a file with holes has that many bytes for nothing.
        header(tarfile.XHDTYPE, 1 << 35),
        header(tarfile.XGLTYPE, 1 << 35),
        header(tarfile.GNUTYPE_LONGNAME, 1 << 35),
        header(tarfile.GNUTYPE_LONGLINK, 1 << 35),
        header(tarfile.GNUTYPE_SPARSE, 1 << 35),
    ],
)
def test_an_archive_whose_headers_go_on_elsewhere_is_told(
    make_site: MakeSite, tmp_path: Path, begin: bytes
) -> None:
    """At once: nothing of it is read."""
    file = tmp_path / "odd.tar"
    file.write_bytes(begin)
    os.truncate(file, 1 << 36)
    with pytest.raises(StoreError, match="headers that no bundle has"):
        bundle.unbundle(make_site("b"), file)


def test_headers_say_of_no_pack_what_it_is_not(make_site: MakeSite, tmp_path: Path) -> None:
    """Another name, another size, zeros that are nowhere: whatever such a header can say."""
    a, b = make_site("a", 1), make_site("b")
    (pack,) = a.merged_packs()
    for number, said in enumerate(
        (
            {"path": "../../escaped.db"},
            {"size": "-512"},
            {"size": str(1 << 60)},
            {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 12},
        )
    ):
        file = tmp_path / f"{number}.tar"
        with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
            member = tarfile.TarInfo(pack.name)
            member.size, member.pax_headers = pack.stat().st_size, said
            with pack.open("rb") as content:
                archive.addfile(member, content)
        with pytest.raises(StoreError, match="headers that no bundle has"):
            bundle.unbundle(b, file)
    assert SitePeer(b).n_waiting() == 0


def test_a_bundle_that_cannot_be_written_leaves_what_is_there(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Whole or not at all."""
    a = make_site("a", 1)
    (tmp_path / "there").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        bundle.create(a, tmp_path / "there")
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
