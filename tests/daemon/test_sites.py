"""Sites of a service for all users: where they are, and who gets to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cmfd.daemon.effects import Owner
from cmfd.daemon.sites import Sites, fixed_part, sites_of
from cmfd.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_users_site_can_be_reached_and_others_cannot_be_listed(tmp_path: Path) -> None:
    """What lies between the operator's directory and the site is for everybody to pass through."""
    template = tmp_path / "{account}" / "{user}"
    site = Sites(template, ()).place(Owner(os.getuid(), "alice", "chem", "alps"))
    assert site == tmp_path / "chem" / "alice"
    assert site.parent.stat().st_mode & 0o777 == 0o711
    assert site.stat().st_mode & 0o007 == 0


def test_the_sites_of_a_template_are_found_once_something_is_published(tmp_path: Path) -> None:
    """All of them, whatever was filled in; one that is no template is always one."""
    template = tmp_path / "{account}" / "{user}"
    places = [Sites(template, ()).place(Owner(1, user, "chem", "")) for user in ("alice", "bob")]
    assert sites_of(template) == []
    for place in places:
        (place / "inbox").mkdir()
    (tmp_path / "queue" / "x").mkdir(parents=True)
    assert sites_of(template) == places
    assert (fixed_part(template), sites_of(tmp_path)) == (tmp_path, [tmp_path])


def test_nothing_is_made_where_the_operators_directory_is_missing(tmp_path: Path) -> None:
    """Its file system may not be mounted: packs would lie under the place where it will be."""
    with pytest.raises(StoreError, match="cannot be made"):
        Sites(tmp_path / "away" / "{user}", ()).place(Owner(1, "alice", "", ""))
    assert not (tmp_path / "away").exists()
