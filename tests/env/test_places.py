"""Where things lie: the default site, the node directory, the kind of file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmfd import config, filesystems
from cmfd.errors import ConfigError
from cmfd.filesystems import filesystem_of

root_only = pytest.mark.skipif(os.getuid() != 0, reason="gives files to another user")


def test_the_nearest_site_above_the_working_directory_is_found(tmp_path: Path) -> None:
    """As git finds its directory, and before any variable."""
    (tmp_path / ".cmfd").mkdir()
    (tmp_path / "a" / ".cmfd").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    environ = {"CMFD_SITE": "/elsewhere", "HOME": "/home/alice"}
    assert config.find_site(tmp_path / "a" / "b" / "c", environ) == tmp_path / "a" / ".cmfd"
    assert config.find_site(tmp_path, environ) == tmp_path / ".cmfd"


def test_a_file_called_like_a_site_is_none(tmp_path: Path) -> None:
    """Only a directory is a site."""
    (tmp_path / ".cmfd").touch()
    assert config.find_site(tmp_path, {"CMFD_SITE": "/elsewhere"}) == Path("/elsewhere")


def test_without_a_site_above_variable_then_data_directory_count(tmp_path: Path) -> None:
    """A relative CMFD_SITE is taken from the working directory."""
    home = {"HOME": "/home/alice"}
    assert config.find_site(tmp_path, home | {"CMFD_SITE": "site"}) == tmp_path / "site"
    assert config.find_site(tmp_path, home | {"XDG_DATA_HOME": "/data"}) == Path("/data/cmfd")
    assert config.find_site(tmp_path, home) == Path("/home/alice/.local/share/cmfd")


def test_nowhere_to_keep_runs_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    """Batch systems start programs without a home directory at times."""
    with pytest.raises(ConfigError, match="set CMFD_SITE"):
        config.find_site(tmp_path, {})


@root_only
def test_a_site_that_anyone_could_have_put_there_is_passed_over(tmp_path: Path) -> None:
    """Else a stranger's /tmp/.cmfd would collect the runs of everyone who works below /tmp."""
    tmp_path.chmod(0o1777)
    site = tmp_path / ".cmfd"
    site.mkdir()
    os.chown(site, 65534, 65534)
    assert config.find_site(tmp_path, {"CMFD_SITE": "/mine"}) == Path("/mine")
    tmp_path.chmod(0o755)
    assert config.find_site(tmp_path, {"CMFD_SITE": "/mine"}) == site


def test_the_node_directory_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """With its parents, mode 0700, and again without complaint."""
    path = tmp_path / "a" / "node"
    config.ensure_node_dir(path)
    config.ensure_node_dir(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_node_directory_that_others_could_read_is_closed(tmp_path: Path) -> None:
    """As a plain mkdir makes it."""
    path = tmp_path / "node"
    path.mkdir()
    path.chmod(0o755)
    config.ensure_node_dir(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_node_directory_that_others_could_write_is_refused(tmp_path: Path) -> None:
    """What is in it may not be ours; it is left as it was."""
    path = tmp_path / "node"
    path.mkdir()
    path.chmod(0o777)
    with pytest.raises(ConfigError, match=r"may be written by others \(mode 0777\)"):
        config.ensure_node_dir(path)
    assert path.stat().st_mode & 0o777 == 0o777


def test_a_link_in_the_node_directorys_place_is_refused(tmp_path: Path) -> None:
    """In /var/tmp anyone could have put it there."""
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "node").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="no directory but a link"):
        config.ensure_node_dir(tmp_path / "node")


@root_only
def test_a_node_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Even for root, and the message says whose it is and what to set."""
    path = tmp_path / "node"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match=r"belongs to user 65534, .* Set CMFD_NODE_DIR"):
        config.ensure_node_dir(path)


def test_a_node_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A file in the way of a parent."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be made: .*Set CMFD_NODE_DIR"):
        config.ensure_node_dir(tmp_path / "file" / "node")


def test_the_kernels_own_file_systems_are_told_apart() -> None:
    """Against mounts that every Linux has; a path need not exist."""
    assert filesystem_of("/proc/self") == ("proc", "/proc", False, False)
    assert filesystem_of("/proc/no/such/file").type == "proc"
    memory = filesystem_of("/dev/shm")
    assert (memory.type, memory.is_memory, memory.is_network) == ("tmpfs", True, False)


MOUNTS = rb"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:4 / /proc rw - proc proc rw
23 21 0:30 / /scratch rw,relatime shared:1 - lustre 10.0.0.1@o2ib:/scratch rw
24 23 0:31 / /scratch/with\040blank rw - tmpfs tmpfs rw
25 21 0:32 / /home rw - nfs4 server:/home rw
26 21 0:33 / /mnt/ssh rw - fuse.sshfs host:/ rw
27 21 8:2 / /mnt/usb rw - fuseblk /dev/sdb1 rw
28 25 8:3 / /home rw - xfs /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/scratch/alice", ("lustre", "/scratch", True, False)),
        ("/scratch2", ("ext4", "/", False, False)),
        ("/scratch/with blank/x", ("tmpfs", "/scratch/with blank", False, True)),
        ("/mnt/ssh", ("fuse.sshfs", "/mnt/ssh", True, False)),
        ("/mnt/usb/x", ("fuseblk", "/mnt/usb", False, False)),
        ("/home/alice", ("xfs", "/home", False, False)),
    ],
)
def test_the_last_mount_over_a_path_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, expected: tuple[object, ...]
) -> None:
    """Whole names only, escapes undone, and a mount hides the one it covers."""
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    monkeypatch.setattr(filesystems, "MOUNT_TABLE", tmp_path / "mountinfo")
    assert filesystem_of(path) == expected


def test_without_a_table_of_mounts_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some sandboxes hide /proc."""
    monkeypatch.setattr(filesystems, "MOUNT_TABLE", tmp_path / "none")
    assert filesystem_of("/home") == ("unknown", "/", False, False)


# -- a node whose service serves all users -----------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the settings of a machine's administrator, who has such a service."""
    path = tmp_path / "etc.toml"
    path.write_text('system = true\nnode_dir = "/srv/cmfd"\nsystem_site = "/project/{uid}"\n')
    monkeypatch.setattr(config, "SYSTEM_FILE", path)
    return path


def test_where_a_service_publishes_is_its_users_default_site(served: Path, tmp_path: Path) -> None:
    """They need not be told; a site of their own comes first."""
    environ = {"HOME": "/home/a"}
    assert config.find_site(tmp_path, environ) == Path(f"/project/{os.getuid()}")
    assert config.find_site(tmp_path, {**environ, "CMFD_SITE": "/mine"}) == Path("/mine")

    served.write_text('system = true\nsystem_site = "/project/{account}"\n')
    assert config.find_site(tmp_path, environ) == Path("/home/a/.local/share/cmfd")
    in_job = {**environ, "SLURM_JOB_ACCOUNT": "chem"}
    assert config.find_site(tmp_path, in_job) == Path("/project/chem")
    elsewhere = {**environ, "SLURM_JOB_ACCOUNT": "../../home/b"}
    assert config.find_site(tmp_path, elsewhere) == Path("/project/none")


@pytest.mark.usefixtures("served")
def test_who_wants_no_service_has_a_directory_of_his_own() -> None:
    """Not the service's, which is not his to write to."""
    assert config.load({}).node_dir == Path("/srv/cmfd")
    assert config.load({}).own_journal_dir == Path(f"/srv/cmfd/journals/{os.getuid()}")

    alone = config.load({"CMFD_SYSTEM": "false"})
    assert (alone.system, alone.node_dir) == (False, config.Settings().node_dir)
    chosen = config.load({"CMFD_SYSTEM": "false", "CMFD_NODE_DIR": "/scratch/a"})
    assert chosen.node_dir == Path("/scratch/a")
