"""Names and addresses of other sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cmfd.errors import ConfigError, NotFoundError
from cmfd.merge.layout import init_site
from cmfd.sync import remotes
from cmfd.sync.remotes import Address, Remote, parse
from cmfd.sync.ssh import ssh_command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("/project/cmfd", Address("/project/cmfd")),
        ("../there", Address("../there")),
        ("file:///project/cmfd", Address("/project/cmfd")),
        ("hpc:cmfd", Address("cmfd", "hpc")),
        ("ana@hpc:/project/cmfd", Address("/project/cmfd", "ana@hpc")),
        ("./with:colon", Address("./with:colon")),
        ("ssh://hpc/project/cmfd", Address("/project/cmfd", "hpc")),
        ("ssh://ana@hpc:2222/project/cmfd", Address("/project/cmfd", "ana@hpc", 2222)),
        ("ssh://hpc/~/cmfd", Address("~/cmfd", "hpc")),
    ],
)
def test_an_address_is_read_as_git_reads_it(url: str, address: Address) -> None:
    """Paths, and two ways to write one on another machine."""
    assert parse(url) == address


@pytest.mark.parametrize(
    "url", ["", "ftp://hpc/x", "-oProxyCommand=reboot:/x", "ssh://-oProxyCommand=reboot/x", "h:-x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """And so is what ssh would take for an option."""
    with pytest.raises(ConfigError):
        parse(url)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/project/cmfd", "/project/cmfd"),
        ("/with space/$(reboot)", "'/with space/$(reboot)'"),
        ("~/my site", "~/'my site'"),
        ("~ana/cmfd", "~ana/cmfd"),
        ("~$(reboot)/x", "'~$(reboot)/x'"),
    ],
)
def test_the_other_shell_sees_the_path_as_one_word(
    path: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a home directory is left to it."""
    monkeypatch.delenv("CMFD_SSH", raising=False)
    command = ssh_command(Address(path, "hpc", 22), "cmfd")
    assert command == ["ssh", "-p", "22", "hpc", f"cmfd serve-stdio {word}"]


def test_remotes_are_named_listed_moved_and_forgotten(tmp_path: Path) -> None:
    """What is written is read again, whatever the address has in it."""
    site = init_site(tmp_path / "site")
    assert remotes.all_of(site) == []
    odd = Remote("odd.one", 'hpc:/with "quotes" \\ and é', "/opt/cmfd/bin/cmfd")
    for one in (odd, Remote("hub", "/project/cmfd")):
        remotes.add(site, one)
    assert remotes.all_of(site) == [Remote("hub", "/project/cmfd"), odd]
    remotes.set_url(site, "hub", "hpc:/there")
    assert remotes.named(site, "hub") == Remote("hub", "hpc:/there")
    with pytest.raises(ConfigError, match="set-url"):
        remotes.add(site, Remote("hub", "/elsewhere"))
    remotes.remove(site, "hub")
    with pytest.raises(NotFoundError, match=r"odd\.one"):
        remotes.named(site, "hub")
    with pytest.raises(NotFoundError):
        remotes.remove(site, "hub")


def test_an_address_needs_no_name(tmp_path: Path) -> None:
    """A word without a slash or colon is a name, everything else an address."""
    site = init_site(tmp_path / "site")
    assert remotes.named(site, "hpc:/there") == Remote("", "hpc:/there")
    assert remotes.named(site, "./there") == Remote("", "./there")


@pytest.mark.parametrize("name", ["", "-x", "a/b", "..", "a b", "x" * 65])
def test_a_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    """It becomes part of a file's name."""
    with pytest.raises(ConfigError):
        remotes.add(init_site(tmp_path / "site"), Remote(name, "/there"))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It is people's, and people make mistakes."""
    site = init_site(tmp_path / "site")
    (site.path / "remotes.toml").write_text("hub = 3")
    with pytest.raises(ConfigError, match=r"remotes\.toml"):
        remotes.all_of(site)
