"""The document on where and with what an execution runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cmfd.client import environment
from cmfd.client.deadline import Deadline
from cmfd.client.environment import capture
from cmfd.client.git import GitError, describe_code
from cmfd.config import ENV_ALLOW
from cmfd.merge.layout import init_site

if TYPE_CHECKING:
    from collections.abc import Callable

    Git = Callable[..., str]


def soon() -> Deadline:
    """Return a deadline that no git command here needs."""
    return Deadline(60)


@pytest.fixture
def repository(tmp_path: Path, git: Git) -> Path:
    """Return a work tree with one commit."""
    top = tmp_path / "project"
    top.mkdir()
    git("init", "-q", "-b", "main", cwd=top)
    (top / "train.py").write_text("print(1)\n")
    git("add", ".", cwd=top)
    git("commit", "-q", "-m", "begin", cwd=top)
    return top


def test_a_clean_work_tree_is_its_commit(repository: Path, git: Git) -> None:
    """With branch and top directory; nothing else is needed to get it back."""
    (repository / "below").mkdir()
    assert describe_code(str(repository / "below"), soon()) == {
        "repository": str(repository),
        "commit": git("rev-parse", "HEAD", cwd=repository).strip(),
        "branch": "main",
        "remote": None,
        "dirty": False,
    }


def test_a_changed_work_tree_has_the_digest_of_its_changes(repository: Path) -> None:
    """Equal changes, equal digest; staged or not is the same."""
    (repository / "train.py").write_text("print(2)\n")
    first = describe_code(str(repository), soon())
    assert first["dirty"]
    assert first["diff_bytes"] > 0
    assert (first["untracked"], len(first["diff_sha256"])) == (0, 64)
    subprocess.run(["git", "add", "train.py"], cwd=repository, check=True)
    assert describe_code(str(repository), soon()) == first
    (repository / "train.py").write_text("print(3)\n")
    assert describe_code(str(repository), soon())["diff_sha256"] != first["diff_sha256"]


def test_untracked_files_are_counted_and_named_by_digest(repository: Path) -> None:
    """Those that git ignores do not count; blanks and newlines in names do no harm."""
    (repository / ".gitignore").write_text("*.out\n")
    (repository / "a.out").touch()
    (repository / "new\nfile").touch()
    code = describe_code(str(repository), soon())
    assert (code["dirty"], code["untracked"], code["diff_bytes"]) == (True, 2, 0)
    assert code["untracked_sha256"] == hashlib.sha256(b".gitignore\0new\nfile\0").hexdigest()


def test_a_site_within_the_work_tree_is_none_of_its_code(repository: Path) -> None:
    """Else each run would change the code that the next one is of, and none would be seen again."""
    clean = describe_code(str(repository), soon())
    init_site(repository / ".cmfd")
    assert describe_code(str(repository), soon()) == clean


def test_the_digest_does_not_depend_on_the_users_git_configuration(
    repository: Path, git: Git
) -> None:
    """Renames, prefixes, colours, context and external programs are all set aside."""
    (repository / "train.py").rename(repository / "moved.py")
    (repository / "more.py").write_text("x\n" * 30)
    git("add", "-A", cwd=repository)
    plain = describe_code(str(repository), soon())
    for setting in (
        "diff.renames=copies", "diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always",
        "diff.context=0", "diff.algorithm=patience", "diff.external=/bin/false", "core.pager=false",
        "diff.relative=true", "status.renames=true", "diff.suppressBlankEmpty=true",
        "diff.orderFile=/none", "core.fsmonitor=/bin/false", "status.showUntrackedFiles=no",
    ):  # fmt: skip
        git("config", *setting.split("=", 1), cwd=repository)
    assert describe_code(str(repository), soon()) == plain


def test_a_detached_head_has_no_branch(repository: Path, git: Git) -> None:
    """As continuous integration checks out."""
    git("checkout", "-q", "--detach", cwd=repository)
    code = describe_code(str(repository), soon())
    assert code["branch"] is None
    assert len(code["commit"]) == 40


def test_before_the_first_commit_there_is_none(tmp_path: Path, git: Git) -> None:
    """What is staged makes the digest then."""
    git("init", "-q", "-b", "main")
    (tmp_path / "a").write_text("x")
    git("add", "a")
    code = describe_code(str(tmp_path), soon())
    assert (code["commit"], code["branch"], code["dirty"]) == (None, "main", True)
    assert code["diff_bytes"] > 0


def test_the_branchs_remote_is_recorded_without_credentials(repository: Path, git: Git) -> None:
    """Else origin, else whatever remote there is."""
    git("remote", "add", "mirror", "https://m/p.git", cwd=repository)
    assert describe_code(str(repository), soon())["remote"] == "https://m/p.git"
    git("remote", "add", "origin", "https://alice:t0p@h/p.git", cwd=repository)
    assert describe_code(str(repository), soon())["remote"] == "https://h/p.git"
    git("config", "branch.main.remote", "mirror", cwd=repository)
    assert describe_code(str(repository), soon())["remote"] == "https://m/p.git"


@pytest.mark.slow
def test_submodules_are_recorded_with_their_commits(
    repository: Path, tmp_path: Path, git: Git
) -> None:
    """One that is not checked out is marked; a change inside one makes the whole dirty."""
    library = tmp_path / "library"
    shutil.copytree(repository, library)
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library))
    git(*add, "lib one", cwd=repository)
    git(*add, "two", cwd=repository)
    git("commit", "-q", "-m", "library", cwd=repository)
    git("submodule", "deinit", "-q", "two", cwd=repository)
    commit = git("rev-parse", "HEAD", cwd=library).strip()
    code = describe_code(str(repository), soon())
    assert code["submodules"] == {"lib one": commit, "two": f"-{commit}"}
    assert not code["dirty"]
    (repository / "lib one" / "train.py").write_text("print(2)\n")
    first = describe_code(str(repository), soon())
    (repository / "lib one" / "train.py").write_text("print(3)\n")
    second = describe_code(str(repository), soon())
    assert first["dirty"]
    assert first["diff_sha256"] != second["diff_sha256"]


def test_asking_changes_nothing_in_the_repository(repository: Path, git: Git) -> None:
    """No index is refreshed and no hook runs, however the repository is set up."""
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    os.utime(repository / "train.py", (1, 1))  # a refresh would be due
    index = repository / ".git" / "index"
    before = (index.stat().st_mtime_ns, index.read_bytes(), sorted(repository.iterdir()))
    assert not describe_code(str(repository), soon())["dirty"]
    assert before == (index.stat().st_mtime_ns, index.read_bytes(), sorted(repository.iterdir()))
    assert git("status", "--porcelain", cwd=repository) == ""


def test_variables_of_a_git_hook_do_not_lead_astray(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job submitted from a hook has GIT_DIR set to another repository."""
    before = describe_code(str(repository), soon())
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert describe_code(str(repository), soon()) == before


def test_outside_of_repositories_there_is_no_code(tmp_path: Path, git: Git) -> None:
    """Which is no problem."""
    assert git("--version")
    assert describe_code(str(tmp_path), soon()) == {}


def test_a_damaged_repository_is_a_problem(repository: Path) -> None:
    """Git's own words reach the record."""
    (repository / ".git" / "index").write_bytes(b"broken")
    with pytest.raises(GitError, match="index file"):
        describe_code(str(repository), soon())


@pytest.mark.slow
def test_git_is_ended_when_it_takes_too_long(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it started; the document then says so in this section alone."""
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\nsleep 1000 & echo $! > "$0.pid"; wait\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    document = capture(str(repository), ["train.py"], (), deadline=Deadline(1.0))
    assert document["code"] == {"problem": "TimeoutError: git takes too long"}
    assert "problem" not in document["host"]
    child = int((tmp_path / "bin" / "git.pid").read_text())
    until = time.monotonic() + 30
    while alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_without_git_the_code_is_a_problem(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compute nodes often have none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    document = capture(str(repository), ["train.py"], ())
    assert document["code"]["problem"].startswith("FileNotFoundError")
    assert document["packages"]


def captured(cwd: Path, argv: list[str], **options: Any) -> dict[str, Any]:
    """Return a document as it is read back from a record."""
    allow = options.pop("allow", ENV_ALLOW)
    document: dict[str, Any] = json.loads(json.dumps(capture(str(cwd), argv, allow, **options)))
    return document


def test_the_programs_repository_counts_before_the_working_directorys(
    repository: Path, tmp_path: Path, git: Git
) -> None:
    """Scripts run in data directories; of a program outside, the working directory tells."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "input.csv").touch()
    git("init", "-q", cwd=data)
    (tmp_path / "tool.py").touch()
    script = str(repository / "train.py")
    for argv in (
        [script],
        ["python", script, "input.csv"],
        ["mpirun", "-n", "2", "python", script],
    ):
        assert captured(data, argv)["code"]["repository"] == str(repository)
    assert captured(data, ["cat", "input.csv"])["code"]["repository"] == str(data)
    assert captured(data, [str(tmp_path / "tool.py")])["code"]["repository"] == str(data)
    assert captured(tmp_path, [str(tmp_path / "tool.py")])["code"] == {}


def test_a_link_to_the_program_is_followed_to_its_repository(
    repository: Path, tmp_path: Path
) -> None:
    """As programs are put on the search path."""
    (tmp_path / "tool.py").symlink_to(repository / "train.py")
    assert captured(tmp_path, ["tool.py"])["code"]["repository"] == str(repository)


def test_python_and_packages_are_those_of_this_process(tmp_path: Path) -> None:
    """Without starting pip."""
    document = captured(tmp_path, [])
    assert document["python"]["executable"] == sys.executable
    assert document["python"]["version"] in sys.version
    packages = document["packages"]
    assert packages["msgspec"] == importlib.metadata.version("msgspec")
    assert list(packages) == sorted(packages)
    assert len(packages) == len({d.name for d in importlib.metadata.distributions()})


def test_modules_and_environments_are_recorded(tmp_path: Path) -> None:
    """In the order they were loaded."""
    environ = {
        "LOADEDMODULES": "gcc/12:openmpi/4.1",
        "_LMFILES_": "/m/gcc/12.lua:/m/openmpi/4.1.lua",
        "CONDA_DEFAULT_ENV": "torch",
        "VIRTUAL_ENV": "/home/alice/venv",
    }
    assert captured(tmp_path, [], environ=environ)["modules"] == {
        "loaded": ["gcc/12", "openmpi/4.1"],
        "files": ["/m/gcc/12.lua", "/m/openmpi/4.1.lua"],
        "conda": "torch",
        "virtual_env": "/home/alice/venv",
    }
    assert captured(tmp_path, [], environ={})["modules"] == {}


def test_a_container_is_known_by_its_runtimes_variables(tmp_path: Path) -> None:
    """Before the marks that a container around it may have left."""
    environ = {"APPTAINER_CONTAINER": "/images/torch.sif", "SINGULARITY_CONTAINER": "x"}
    assert captured(tmp_path, [], environ=environ)["container"] == {
        "runtime": "apptainer",
        "image": "/images/torch.sif",
    }


def test_the_host_is_described(tmp_path: Path) -> None:
    """What a run's speed depends on."""
    host = captured(tmp_path, [])["host"]
    assert host["name"] == os.uname().nodename
    assert host["cpus"] == os.cpu_count()
    assert host["cpus_usable"] == len(os.sched_getaffinity(0))
    assert host["memory_bytes"] > 1 << 28
    assert isinstance(host["gpus"], list)
    assert host["kernel"]


def test_allowed_variables_are_recorded_and_secrets_are_not(tmp_path: Path) -> None:
    """Even when a pattern allows them, by name or by value."""
    environ = {
        "OMP_NUM_THREADS": "4",
        "SLURM_JOB_ID": "4711",
        "SLURM_JWT": "secret",
        "MY_TOKEN": "secret",
        "MY_URL": "redis://:secret@h",
        "MY_VALUE": "ghp_" + "a" * 36,
        "MY_OTHER": "plain",
        "HOME": "/home/alice",
    }
    document = captured(tmp_path, [], environ=environ, allow=(*ENV_ALLOW, "MY_*"))
    assert document["variables"] == {
        "MY_OTHER": "plain",
        "OMP_NUM_THREADS": "4",
        "SLURM_JOB_ID": "4711",
    }
    assert "secret" not in json.dumps(document)


def test_the_command_is_recorded_without_secrets(tmp_path: Path) -> None:
    """With the directory it ran in."""
    document = captured(tmp_path, ["train.py", "--lr", "1", "--api-key=secret"])
    assert document["command"] == {
        "argv": ["train.py", "--lr", "1", "--api-key=***"],
        "cwd": str(tmp_path),
    }


def test_names_that_are_no_utf_8_do_not_spoil_the_document(tmp_path: Path) -> None:
    """They come as surrogates, which JSON could not carry."""
    environ = {"OMP_PLACES": os.fsdecode(b"\xff")}
    document = captured(tmp_path, [os.fsdecode(b"a\xfe")], environ=environ)
    assert document["variables"]["OMP_PLACES"] == "\ufffd"
    assert document["command"]["argv"] == ["a\ufffd"]
    json.dumps(document, ensure_ascii=False).encode()


@pytest.mark.slow
def test_the_document_is_bounded_in_size(tmp_path: Path) -> None:
    """Long values are cut; a section that is still too long is left out and says so."""
    environ = {"PATH": "x" * 100_000}
    document = captured(tmp_path, ["a" * 9000], environ=environ)
    assert len(document["variables"]["PATH"]) == environment.VALUE_CHARACTERS
    assert document["command"]["argv"][0].endswith("…")
    document = captured(tmp_path, ["a" * 5000] * 100)
    assert document["command"]["problem"].startswith("left out: 50")
    assert "problem" not in document["host"]


def test_a_section_out_of_time_is_a_problem(tmp_path: Path) -> None:
    """And the others are complete."""
    document = captured(tmp_path, [], deadline=Deadline(0.0))
    assert document["packages"]["problem"].startswith("TimeoutError")
    assert document["python"]["version"]
