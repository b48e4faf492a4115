"""Who vouches for a pack; real ssh keys."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.exchange import MakeSite, add, digest, to
from support.programs import program

from cmfd.errors import ConfigError, PackError
from cmfd.merge import signatures
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import INCOMING, Site, open_site
from cmfd.sync import bundle
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Signed

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.sync.peer import Blocks


class Key(NamedTuple):
    """A private key, and the line of its public one."""

    path: Path
    public: str


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Key, Key]:
    """Make the keys of two people."""
    program("ssh-keygen", "openssh-client")
    made = []
    for name in ("ann", "eve"):
        path = tmp_path / name
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
        subprocess.run(words, check=True)
        made.append(Key(path, path.with_suffix(".pub").read_text()))
    return made[0], made[1]


def guarded(site: Site, *known: Key) -> Site:
    """Have a site take only what these people signed."""
    (site.path / "site.toml").write_text(f'id = "{site.id}"\nsigned_only = true\n')
    lines = [f"{key.path.name}@example.org {key.public}" for key in known]
    (site.path / "allowed_signers").write_text("".join(lines))
    return open_site(site.path)


@pytest.mark.slow
def test_a_site_takes_only_what_somebody_signed_whom_it_knows(
    make_site: MakeSite, keys: tuple[Key, Key]
) -> None:
    """Unsigned, or signed by another, a pack stays where it is, with the reason."""
    ann, eve = keys
    a, b = make_site("a", 1), make_site("b", 2)
    hub = guarded(make_site("hub"), ann)
    for site, key, reason in ((a, None, "not signed"), (b, eve.path, "does not know")):
        done = push(site, to(hub), SitePeer(hub), key=key)
        assert done.n_packs == 0
        assert reason in done.left_out[0][1]
    assert push(a, to(hub), SitePeer(hub), key=ann.path).n_packs == 1
    assert digest(a) == digest(hub)


@pytest.mark.slow
def test_a_signature_travels_with_its_pack(make_site: MakeSite, keys: tuple[Key, Key]) -> None:
    """From site to site, without the key; it says who signed."""
    ann, _ = keys
    a, hub, c = make_site("a", 1), make_site("hub"), make_site("c")
    c = guarded(c, ann)
    push(a, to(hub), SitePeer(hub), key=ann.path)
    pull(c, to(hub), SitePeer(hub))
    assert digest(c) == digest(a)
    (pack,) = c.merged_packs()
    signer = signatures.signer(c, pack.stem, signatures.of(c, pack.stem))
    assert signer is not None
    assert signer.name == "ann@example.org"
    unknown = signatures.signer(hub, pack.stem, signatures.of(hub, pack.stem))
    assert unknown == signatures.Signer("", signer.key)


@pytest.mark.slow
def test_a_signature_is_of_one_pack_only(make_site: MakeSite, keys: tuple[Key, Key]) -> None:
    """That of another pack, and what is none, counts for nothing."""
    ann, _ = keys
    a = make_site("a", 1, 2)
    hub = guarded(make_site("hub"), ann)
    first, second = (pack.stem for pack in a.merged_packs())
    signatures.sign(a, [first], ann.path)
    signature = signatures.of(a, first)
    for wrong in (signature, "", "no signature", signature[:-40], "x" * (1 << 20)):
        assert signatures.signer(hub, second, wrong) is None
    signatures.keep(a, second, signature)
    done = push(a, to(hub), SitePeer(hub))
    assert done.n_packs == 1
    assert [one for one, _ in done.left_out] == [second]


@pytest.mark.slow
@pytest.mark.parametrize("more", ["\u00e9", "x" * (1 << 14)])
def test_what_follows_a_signature_is_in_nobodys_way(
    make_site: MakeSite, keys: tuple[Key, Key], more: str
) -> None:
    """No site may send what keeps others from merging, or from handing on."""
    ann, _ = keys
    a, hub, c = make_site("a", 1), make_site("hub"), make_site("c")
    (pack,) = a.merged_packs()
    signatures.sign(a, [pack.stem], ann.path)
    signature = signatures.of(a, pack.stem) + more
    SitePeer(hub).write(
        pack.stem,
        pack.stat().st_size,
        lambda offset: SitePeer(a).read(pack.stem, offset),
        signature=signature,
    )
    merge_site(hub.path)
    assert signatures.of(hub, pack.stem) == ""
    assert pull(c, to(hub), SitePeer(hub)).n_packs == 1


@pytest.mark.slow
def test_of_a_pack_that_never_came_no_signature_is_kept(
    make_site: MakeSite, keys: tuple[Key, Key]
) -> None:
    """Else whoever is first could have his in place of another's."""
    ann, eve = keys
    a, hub = make_site("a", 1), make_site("hub")
    (pack,) = a.merged_packs()
    signatures.sign(hub, [pack.stem], eve.path)
    eves = signatures.of(hub, pack.stem)
    signatures.path_of(hub, pack.stem).unlink()

    def cut(_offset: int) -> Blocks:
        yield b"some"

    with pytest.raises(PackError, match="ended after"):
        SitePeer(hub).write(pack.stem, pack.stat().st_size, cut, signature=eves)
    (hub.path / INCOMING / f"{pack.stem}.part").unlink()
    push(a, to(hub), SitePeer(hub), key=ann.path)
    assert signatures.of(hub, pack.stem) == signatures.of(a, pack.stem) != eves


@pytest.mark.slow
def test_a_bundle_has_the_signatures_with_it(
    make_site: MakeSite, keys: tuple[Key, Key], tmp_path: Path
) -> None:
    """Where no wire goes, sites know whom they trust, too."""
    ann, _ = keys
    a, hub = make_site("a", 1, 2), guarded(make_site("hub"), ann)
    first, second = (pack.stem for pack in a.merged_packs())
    signatures.sign(a, [first], ann.path)
    bundle.create(a, tmp_path / "all.tar")
    done = bundle.unbundle(hub, tmp_path / "all.tar")
    assert done.n_packs == 1
    assert [one for one, _ in done.left_out] == [second]
    assert signatures.of(hub, first) == signatures.of(a, first)


def test_what_is_no_key_is_told(make_site: MakeSite, tmp_path: Path) -> None:
    """And nothing is sent."""
    program("ssh-keygen", "openssh-client")
    a, hub = make_site("a", 1), make_site("hub")
    (tmp_path / "key").write_text("no key")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(ConfigError, match="cannot sign"):
        push(a, to(hub), SitePeer(hub), key=tmp_path / "key")
    assert list(hub.merged_packs()) == []


@pytest.mark.slow
def test_late_packs_are_signed_when_they_are_pushed(
    make_site: MakeSite, keys: tuple[Key, Key]
) -> None:
    """Only those that are sent."""
    ann, _ = keys
    a, hub = make_site("a", 1), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    add(a, 2)
    push(a, to(hub), SitePeer(hub), key=ann.path)
    signed = [pack.stem for pack in a.merged_packs() if signatures.of(a, pack.stem)]
    assert len(signed) == 1


@pytest.mark.slow
def test_late_signatures_travel_both_ways(make_site: MakeSite, keys: tuple[Key, Key]) -> None:
    """A pack that is there already gets its signature with the next push, and the next pull."""
    ann, _ = keys
    a, hub, c = make_site("a", 1, 2), make_site("hub"), make_site("c")
    push(a, to(hub), SitePeer(hub))
    pull(c, to(hub), SitePeer(hub))
    (first, second) = (pack.stem for pack in a.merged_packs())
    signatures.sign(a, [first], ann.path)
    push(a, to(hub), SitePeer(hub))
    pull(c, to(hub), SitePeer(hub))
    signatures.sign(a, [second], ann.path)
    pull(hub, to(a, "a"), SitePeer(a))
    for site in (hub, c):
        assert signatures.of(site, first) == signatures.of(a, first) != ""
    assert signatures.of(hub, second) == signatures.of(a, second) != ""
    assert signatures.of(c, second) == ""


@pytest.mark.slow
def test_who_is_known_takes_the_place_of_who_is_not(
    make_site: MakeSite, keys: tuple[Key, Key]
) -> None:
    """Nobody keeps another's signature away by being the first; what is none is not kept."""
    ann, eve = keys
    a, b = make_site("a", 1), make_site("b", 1)
    hub = make_site("hub")
    (digest_of,) = (pack.stem for pack in a.merged_packs())
    signatures.sign(b, [digest_of], eve.path)
    push(b, to(hub), SitePeer(hub))
    line = f"ann@example.org {ann.public}"
    (hub.path / "allowed_signers").write_text(line)
    signatures.sign(a, [digest_of], ann.path)
    SitePeer(hub).take_signatures([Signed(1, digest_of, "nothing"), Signed(2, "../x", "nothing")])
    assert signatures.of(hub, digest_of) == signatures.of(b, digest_of)
    push(a, to(hub), SitePeer(hub))
    assert signatures.of(hub, digest_of) == signatures.of(a, digest_of)
    pull(hub, to(b), SitePeer(b))
    assert signatures.of(hub, digest_of) == signatures.of(a, digest_of)
