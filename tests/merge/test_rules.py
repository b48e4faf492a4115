"""Who may push what, as a site's operator wrote it down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cmfd.errors import ConfigError
from cmfd.merge.layout import Site, init_site
from cmfd.merge.rules import PackAbout, Pusher, Rules

if TYPE_CHECKING:
    from pathlib import Path

RULES = """
[[allow]]
who = ["user:*"]
users = ["self"]

[[allow]]
who = ["token:ci", "as:laptop"]
pipelines = ["heat*"]
signers = ["ann@lab"]

[[allow]]
who = ["user:operator"]
"""
ANN = Pusher("user", "ann")
CI = Pusher("token", "ci")


def with_rules(path: Path, text: str) -> Site:
    site = init_site(path / "site")
    rules = site.path / "rules.toml"
    rules.write_text(text)
    rules.chmod(0o644)
    return site


@pytest.mark.parametrize(
    ("who", "pack", "told"),
    [
        (ANN, PackAbout({"ann"}, {"any"}), None),
        (ANN, PackAbout({"ann", "bob"}, {"any"}), "user:ann may not push what is of user 'bob'"),
        (ANN, PackAbout({"ann", ""}, {"any"}), "user:ann may not push what is of user unknown"),
        # What only the site knows is nobody's matter who pushes.
        (
            ANN,
            PackAbout({"ann", "bob"}, {"any"}, unsaid={"bob"}),
            "user:ann may not push what is of user unknown",
        ),
        (
            CI,
            PackAbout({"bob"}, {"cold", "colder"}, unsaid={"colder"}),
            "token:ci may not push what is of pipeline unknown",
        ),
        (Pusher("user", "operator"), PackAbout({"bob"}, {"any"}), None),
        (CI, PackAbout({"bob"}, {"heat", "heating"}, signer="ann@lab"), None),
        (CI, PackAbout({"bob"}, {"heat"}), "token:ci may not push what is signed by unknown"),
        (CI, PackAbout({"bob"}, {"cold"}), "token:ci may not push what is of pipeline 'cold'"),
        (Pusher("token", "ann"), PackAbout({"ann"}, {"heat"}), "token:ann may push nothing here"),
    ],
)
def test_a_pack_comes_in_if_an_entry_allows_it(
    tmp_path: Path, who: Pusher, pack: PackAbout, told: str | None
) -> None:
    """Whoever says of himself what the kernel says of another is another."""
    assert Rules.of(with_rules(tmp_path, RULES)).refuse(who, pack) == told


def test_without_rules_all_is_allowed_and_with_none_in_them_nothing(tmp_path: Path) -> None:
    """An empty file is a decision."""
    pack = PackAbout({"bob"}, {"heat"})
    assert Rules.of(init_site(tmp_path / "site")).refuse(ANN, pack) is None
    assert Rules.of(with_rules(tmp_path, "")).refuse(ANN, pack) is not None


@pytest.mark.parametrize(
    "text", ["[[allow]]\n", '[[allow]]\nwho = ["*"]\nuser = ["ann"]\n', "allow = 3", "\xff["]
)
def test_rules_that_are_not_understood_let_nothing_in(tmp_path: Path, text: str) -> None:
    """A word that is misspelt must not be one rule less."""
    with pytest.raises(ConfigError, match="nothing was taken"):
        Rules.of(with_rules(tmp_path, text))


def test_rules_that_others_can_write_let_nothing_in(tmp_path: Path) -> None:
    """In a directory that many may write to, the file is its operator's alone."""
    site = with_rules(tmp_path, RULES)
    (site.path / "rules.toml").chmod(0o664)
    with pytest.raises(ConfigError, match="chmod go-w"):
        Rules.of(site)
    (site.path / "rules.toml").chmod(0o644)
    if os.getuid() == 0:
        os.chown(site.path / "rules.toml", 12345, -1)
        with pytest.raises(ConfigError, match="belongs to uid 12345"):
            Rules.of(site)
