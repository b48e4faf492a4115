"""`cmfd slurm install` and `uninstall`: what is written, what is shown, and what is kept."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.programs import program
from support.sysfs import Powercap

from cmfd import config
from cmfd.cli.slurm import installation

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import Invoke


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return where it is installed."""
    return tmp_path / "opt"


def install(invoke: Invoke, prefix: Path, *words: str, site: str = "/project/cmfd") -> str:
    """Install, and return what was said."""
    return invoke(
        "slurm", "install", "--prefix", str(prefix), "--site", site, *words
    ).stdout  # fmt: skip


def files_in(directory: Path) -> dict[str, str]:
    """Return all files below a directory."""
    return {
        str(path.relative_to(directory)): path.read_text("utf-8")
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_dry_run_is_the_patch_that_the_installation_is(
    invoke: Invoke, prefix: Path, tmp_path: Path
) -> None:
    """It writes nothing; `patch` makes the same files of what it prints."""
    shown = install(invoke, prefix, "--dry-run")
    assert not prefix.exists()
    patched = tmp_path / "patched"
    patched.mkdir()
    patch = [program("patch", "patch"), "-p1", "--quiet", f"--directory={patched}"]
    subprocess.run(patch, input=shown.replace(str(prefix), "a"), text=True, check=True)
    install(invoke, prefix)
    (prefix / "etc" / "cmfd" / "installed").unlink()
    installed = files_in(prefix)
    assert files_in(patched) == {
        name: text.replace(str(prefix), "a") for name, text in installed.items()
    }


def test_what_cannot_be_written_is_said_with_what_to_do(invoke: Invoke) -> None:
    """Most often it was not root who did it; nobody makes directories in /proc, not even root."""
    said = invoke("slurm", "install", "--prefix", "/proc/x", "--site", "/project/cmfd", code=3)
    assert "/proc/x/etc/cmfd/cmfd.toml cannot be written" in said.stderr
    assert "--prefix" in said.stderr


def test_installing_again_changes_nothing(invoke: Invoke, prefix: Path) -> None:
    """And says so; the checksums are those that `sha256sum` makes."""
    install(invoke, prefix)
    before = files_in(prefix)
    again = install(invoke, prefix)
    assert files_in(prefix) == before
    assert "write " not in again
    checksums = before["etc/cmfd/installed"].splitlines()
    assert len(checksums) == len(before) - 1
    for line in checksums:
        digest, _, name = line.partition("  ")
        text = before[name.removeprefix(f"{prefix}/")]
        assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_a_newer_version_of_a_file_replaces_the_one_that_nobody_changed(
    invoke: Invoke, prefix: Path
) -> None:
    """Another site is chosen: the files that name it say the new one."""
    install(invoke, prefix)
    said = install(invoke, prefix, site="/elsewhere/cmfd")
    assert f"replace  {prefix}/etc/cmfd/cmfd.toml" in said
    assert f"same     {prefix}/etc/cmfd/hooks/prolog" in said
    for name, text in files_in(prefix).items():
        assert "/project/cmfd" not in text, name


def test_a_file_that_the_operator_changed_is_kept(invoke: Invoke, prefix: Path) -> None:
    """By an installation, which puts the new one beside it, and when all else is removed."""
    install(invoke, prefix)
    settings = prefix / "etc" / "cmfd" / "cmfd.toml"
    with settings.open("a", encoding="utf-8") as file:
        file.write("quota_clients = 7\n")
    changed = settings.read_text("utf-8")
    said = install(invoke, prefix, site="/elsewhere/cmfd")
    assert f"keep     {settings} (it was changed; the new one is cmfd.toml.new)" in said
    assert settings.read_text("utf-8") == changed
    assert "/elsewhere/cmfd" in (settings.parent / "cmfd.toml.new").read_text("utf-8")

    gone = invoke("slurm", "uninstall", "--prefix", str(prefix), "--dry-run").stdout
    assert len(files_in(prefix)) > 10
    assert invoke("slurm", "uninstall", "--prefix", str(prefix)).stdout == gone
    assert files_in(prefix) == {"etc/cmfd/cmfd.toml": changed}


def test_everybody_can_read_it_whatever_the_operators_umask(invoke: Invoke, prefix: Path) -> None:
    """Users' processes read the settings; hooks are programs."""
    before = os.umask(0o077)
    try:
        install(invoke, prefix)
    finally:
        os.umask(before)
    for path in (prefix, *prefix.rglob("*")):
        is_program = path.parent.name == "hooks" and not path.suffix
        expected = 0o755 if path.is_dir() or is_program else 0o644
        assert path.stat().st_mode & 0o777 == expected, path


def test_only_what_was_installed_can_be_removed(invoke: Invoke, prefix: Path) -> None:
    """The error says where nothing was found."""
    failed = invoke("slurm", "uninstall", "--prefix", str(prefix), code=4)
    assert str(prefix) in failed.stderr


def test_the_settings_file_names_every_setting_and_loads(
    invoke: Invoke, prefix: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it is, it says what was chosen; what is commented out in it is the default."""
    install(invoke, prefix, "--node-dir", "/scratch/cmfd")
    path = prefix / "etc" / "cmfd" / "cmfd.toml"
    monkeypatch.setattr(config, "SYSTEM_FILE", path)
    settings = config.load({"HOME": str(tmp_path)})
    assert settings.system
    assert str(settings.node_dir) == "/scratch/cmfd"
    assert str(settings.system_site) == "/project/cmfd"

    text = path.read_text("utf-8")
    uncommented = msgspec.toml.decode(re.sub(r"^#(?=\w+ = |    )", "", text, flags=re.MULTILINE))
    assert list(uncommented) == list(config.Settings.__struct_fields__)
    defaults = msgspec.to_builtins(config.Settings(), enc_hook=str)
    for key in set(uncommented) - {"node_dir", "journal_dir", "system", "system_site"}:
        assert uncommented[key] == list(defaults[key]) if isinstance(defaults[key], tuple) else (
            uncommented[key] == defaults[key]
        ), key  # fmt: skip
    for item in config.describe_settings():
        assert item.meaning.split()[0] in text


@pytest.mark.parametrize("word", ["/with blank", "/with\nline", "/$(reboot)", "/%n'"])
def test_a_path_that_not_every_file_can_hold_is_refused(
    invoke: Invoke, prefix: Path, word: str
) -> None:
    """Before anything is written."""
    command = ("slurm", "install", "--prefix", str(prefix), "--site", word)
    assert "site" in invoke(*command, code=3).stderr
    assert not prefix.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "/p/{foo}/{user}"], "the site has {foo} in it"),
        (["--site", "/p/{user"], "the site has { in it"),
        (["--site", "/p", "--uid", "0"], "not to run as root"),
        (["--site", "/p", "--user", "root"], "not to run as root"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    invoke: Invoke, prefix: Path, words: list[str], said: str
) -> None:
    """A service that runs as root, or a directory that is called {foo}."""
    failed = invoke("slurm", "install", "--prefix", str(prefix), *words, code=3).stderr
    assert said in failed
    assert "Nothing was written" in failed
    assert not prefix.exists()


def test_a_program_that_others_cannot_run_is_told_of(
    invoke: Invoke, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under root's home, say: neither the service nor users could start it."""
    command = tmp_path / "root" / "bin" / "cmfd"
    command.parent.mkdir(parents=True)
    command.touch(0o755)
    (tmp_path / "root").chmod(0o700)
    monkeypatch.setattr(installation, "COMMAND", command)
    said = invoke("slurm", "install", "--prefix", str(prefix), "--site", "/p", "--dry-run").stderr
    assert "install cmfd where everybody can run it" in said


def test_a_percent_sign_is_one_for_systemd(invoke: Invoke, prefix: Path) -> None:
    """Where it would begin a specifier it is doubled, and nowhere else."""
    install(invoke, prefix, site="/p/50%h")
    files = files_in(prefix)
    assert "--site /p/50%%h\n" in files["etc/systemd/system/cmfd-merge.service"]
    assert 'system_site = "/p/50%h"' in files["etc/cmfd/cmfd.toml"]
    assert "queue=/p/50%h/queue" in files["etc/cmfd/hooks/hooks.conf"].replace("'", "")


def test_jobs_wait_beside_what_differs_from_site_to_site(invoke: Invoke, prefix: Path) -> None:
    """The controller needs one place that it may write to."""
    conf = prefix / "etc" / "cmfd" / "hooks" / "hooks.conf"
    for site, queue in (
        ("/project/cmfd", "/project/cmfd/queue"),
        ("/project/cmfd/{account}/{user}", "/project/cmfd/queue"),
        ("/project/cmfd-{user}/site", "/project/queue"),
    ):
        install(invoke, prefix, site=site)
        assert f"\nqueue={queue}\n" in conf.read_text("utf-8")
        unit = (prefix / "etc" / "systemd" / "system" / "cmfd-merge.service").read_text("utf-8")
        assert f" merge --watch --site {site}\n" in unit


def test_systemd_understands_its_files(invoke: Invoke, prefix: Path) -> None:
    """Units, users and directories are checked by the programs that read them."""
    install(invoke, prefix, "--uid", "417", "--slurm-user", "root")
    etc = prefix / "etc"
    units = sorted(str(path) for path in (etc / "systemd" / "system").iterdir())
    assert len(units) == 2
    verify = [program("systemd-analyze", "systemd"), "verify", *units]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "cmfd" in line]
    assert (done.returncode, complaints) == (0, [])

    root = prefix / "root"
    (root / "etc").mkdir(parents=True)
    counter = Powercap.intel(root / "sys").counter("intel-rapl:0")
    users, tmpfiles = program("systemd-sysusers", "systemd"), program("systemd-tmpfiles", "systemd")
    subprocess.run([users, f"--root={root}", str(etc / "sysusers.d" / "cmfd.conf")], check=True)
    assert "cmfd:x:417:" in (root / "etc" / "passwd").read_text()
    create = [tmpfiles, "--create", f"--root={root}", str(etc / "tmpfiles.d" / "cmfd.conf")]
    said = subprocess.run(create, check=True, capture_output=True, text=True)
    assert not said.stderr
    modes = {name: oct((root / "var/lib/cmfd" / name).stat().st_mode)[-4:]
             for name in (".", "jobs", "jobs.new", "journals")}  # fmt: skip
    assert modes == {".": "1771", "jobs": "0770", "jobs.new": "0700", "journals": "0751"}
    assert (root / "var/lib/cmfd").stat().st_uid == 0
    assert (oct(counter.stat().st_mode)[-4:], counter.stat().st_gid) == ("0440", 417)
