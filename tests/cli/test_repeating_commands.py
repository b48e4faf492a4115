"""Doing things again: what it takes, what differs, what was done already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.packs import an_id, small_run
from support.sites import from_json, set_param

from cmfd.client.deadline import Deadline
from cmfd.client.git import describe_code
from cmfd.content.files import hash_path
from cmfd.query.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from support.packs import Content
    from support.sites import ASite, Invoke

PROGRAM = "import sys\nopen('out.txt', 'w').write(open('data/in.txt').read().upper())\n"
ARGV = ["python", "work.py", "--lr", "0.1"]


def git(directory: Path, *words: str) -> None:
    name = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
    subprocess.run(("git", *name, *words), cwd=directory, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Path:
    """Make a clone of a repository with a program, and data that is not in it."""
    del invoke  # goes elsewhere first
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q")
    (origin / "work.py").write_text(PROGRAM)
    (origin / ".gitignore").write_text("data\nout.txt\n")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    (clone / "data").mkdir()
    (clone / "data" / "in.txt").write_text("hits")
    monkeypatch.chdir(clone)
    return clone


def a_run_of(clone: Path, number: int, **document: Any) -> Content:
    """Return a run of the program as it is now."""
    content = small_run(number, n_params=0)
    content["run"] = [(*content["run"][0][:9], "python work.py --lr 0.1", str(clone))]
    execution, origin = an_id("exec", number), an_id("proc", number * 1000)
    data = clone / "data" / "in.txt"
    held = hash_path(data).digest
    content["artifact"].append((held, "", 4, 1))
    content["event"].append(
        (execution, "input", held, "data/in.txt", 1, origin, "dataset", "n1", str(data), 0, "", "")
    )
    full = {
        "command": {"argv": ARGV[1:], "cwd": str(clone)},
        "code": describe_code(str(clone), Deadline(30)),
        "python": {"version": "3.11.7"},
        "packages": {"numpy": "1.26.4"},
        **document,
    }
    content["environment"] = [(f"{number:064x}", json.dumps(full))]
    content["execution_environment"] = [(execution, 1, origin, f"{number:064x}")]
    set_param(content, number, "lr", "float", 0.1)
    return content


def test_what_can_be_done_again_lacks_nothing(clone: Path, site: ASite, invoke: Invoke) -> None:
    """Code is pushed and clean, the input is where it was."""
    site.take(a_run_of(clone, 1))
    found = from_json(invoke("repro", "last", "--json"))
    assert found["missing"] == []
    assert found["command"] == ARGV
    assert found["inputs"][0]["found"] == str(clone / "data" / "in.txt")
    text = invoke("repro", "last").stdout
    assert "missing   nothing that is known of" in text
    assert found["code"]["commit"] in text


def test_what_is_missing_is_said(clone: Path, site: ASite, invoke: Invoke) -> None:
    """Changes not committed, commits not pushed, secrets, data that is gone or another."""
    (clone / "work.py").write_text(PROGRAM + "\n")
    git(clone, "commit", "-qam", "second")
    (clone / "work.py").write_text(PROGRAM)
    (clone / "new.py").write_text("")
    site.take(a_run_of(clone, 1, command={"argv": ["x", "--token", "***"], "cwd": "/"}))
    data = clone / "data" / "in.txt"
    data.write_text("other hits")
    missing = from_json(invoke("repro", "last", "--json"))["missing"]
    assert len(missing) == 4
    for said, part in zip(
        missing,
        ("not committed (diff", "was not pushed", "a secret", "holds something else"),
        strict=True,
    ):
        assert part in said
    data.unlink()
    assert "not here: " + str(data) in invoke("repro", "last").stdout
    unchecked = from_json(invoke("repro", "last", "--no-check", "--json"))["missing"]
    assert len(unchecked) == 2


def test_content_is_found_at_another_place_where_it_was_seen(
    clone: Path, site: ASite, invoke: Invoke
) -> None:
    """The same bytes at any known path will do."""
    first, second = a_run_of(clone, 1), a_run_of(clone, 2)
    moved = clone / "moved.txt"
    second["event"][-1] = (*second["event"][-1][:8], str(moved), *second["event"][-1][9:])
    site.take(first, second)
    (clone / "data" / "in.txt").rename(moved)
    found = from_json(invoke("repro", an_id("exec", 1).hex(), "--json"))
    assert found["inputs"][0]["found"] == str(moved)
    assert found["missing"] == []


def test_the_script_does_it_again(clone: Path, site: ASite, invoke: Invoke, tmp_path: Path) -> None:
    """In a new directory, with the code of then and the data, and it refuses other data."""
    site.take(a_run_of(clone, 1))
    (clone / "work.py").write_text("raise SystemExit('the code of now')")
    script = tmp_path / "again.sh"
    script.write_text(invoke("repro", "last", "--script").stdout)
    assert " -i data/in.txt -o model:model.bin -- " in script.read_text()
    environ = only_runs(tmp_path)
    done = subprocess.run(
        ("sh", script, "again"),
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "out.txt").read_text() == "HITS"
    assert "numpy==1.26.4" in (tmp_path / "again" / "cmfd-requirements.txt").read_text()

    (clone / "data" / "in.txt").write_text("other")
    done = subprocess.run(
        ("sh", script, "third"),
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not md5:" in done.stderr


def only_runs(directory: Path) -> dict[str, str]:
    """Return the surroundings of a script for which `cmfd run` records nothing."""
    bin_dir = directory / "bin"
    bin_dir.mkdir()
    fake = bin_dir / "cmfd"
    fake.write_text(
        '#!/bin/sh\nif [ "$1" = artifacts ]; then exec python -m cmfd "$@"; fi\n'
        'while [ "$1" != -- ]; do shift; done; shift; exec "$@"\n'
    )
    fake.chmod(0o755)
    path = f"{bin_dir}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # noqa: PTH120 - a text
    return {**os.environ, "PATH": path}


def test_the_script_pulls_what_is_no_longer_where_it_was(
    clone: Path, site: ASite, invoke: Invoke, tmp_path: Path
) -> None:
    """DVC's cache has it still."""
    content = a_run_of(clone, 1)
    *event, _, problem = content["event"][-1]
    content["event"][-1] = (*event, json.dumps({"dvc": {"root": str(clone)}}), problem)
    site.take(content)
    data = clone / "data" / "in.txt"
    digest = hash_path(data).digest.removeprefix("md5:")
    kept = clone / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    kept.parent.mkdir(parents=True)
    data.rename(kept)

    script = tmp_path / "again.sh"
    script.write_text(invoke("repro", "last", "--script").stdout)
    done = subprocess.run(
        ("sh", script, "again"), cwd=tmp_path, env=only_runs(tmp_path), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "out.txt").read_text() == "HITS"


def test_a_diff_shows_all_that_differs_and_nothing_else(
    clone: Path, site: ASite, invoke: Invoke
) -> None:
    """Code, parameters, data, packages."""
    first = a_run_of(clone, 1)
    (clone / "work.py").write_text(PROGRAM + "\n")
    git(clone, "commit", "-qam", "second")
    (clone / "data" / "in.txt").write_text("other hits")
    second = a_run_of(clone, 2, packages={"numpy": "2.0.0"})
    set_param(second, 2, "depth", "int", 3)
    site.take(first, second)
    found = from_json(invoke("diff", "@-2", "last", "--json"))
    assert [(one["section"], one["key"]) for one in found] == [
        ("code", "commit"), ("parameter", "depth"), ("input", "data/in.txt"),
        ("output", "model.bin"), ("packages", "numpy"),
    ]  # fmt: skip
    assert (found[1]["left"], found[1]["right"]) == (None, 3)
    assert "numpy 1.26.4 2.0.0" in " ".join(invoke("diff", "@-2", "last").stdout.split())
    assert "Nothing" in invoke("diff", "last", "last").stderr


def test_a_diff_of_two_jobs_leaves_out_which_jobs_they_are(
    clone: Path, site: ASite, invoke: Invoke
) -> None:
    """What they asked for is compared; ids and nodes differ from job to job."""
    asked = {"SLURM_NTASKS": "4", "SLURM_ARRAY_TASK_ID": "1"}
    ids = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_JOB_NODELIST", "SLURMD_NODENAME", "SLURM_TASK_PID")
    said = [{**asked, **dict.fromkeys(ids, str(number))} for number in (1, 2)]
    said[1]["SLURM_NTASKS"] = "8"
    site.take(*(a_run_of(clone, n, variables=one) for n, one in enumerate(said, 1)))
    found = from_json(invoke("diff", "@-2", "last", "--json"))
    variables = [one["key"] for one in found if one["section"] == "variables"]
    assert variables == ["SLURM_NTASKS"]


def test_there_is_no_script_without_a_command(clone: Path, site: ASite, invoke: Invoke) -> None:
    """It would do nothing, or something else."""
    site.take(a_run_of(clone, 1, command={}))
    assert "the command is not known" in invoke("repro", "last").stdout
    failed = invoke("repro", "last", "--script", code=4)
    assert failed.stdout == ""
    assert "there is no script that does it again" in failed.stderr


def test_what_was_missing_then_is_told_as_of_then(clone: Path, site: ASite, invoke: Invoke) -> None:
    """The file may be there now; its content was not read when it was used."""
    content = a_run_of(clone, 1)
    name = f"stat:{0:032x}"
    content["artifact"].append((name, "", -1, 1))
    (event,) = (row for row in content["event"] if row[3] == "data/in.txt")
    content["event"].append((*event[:2], name, "later", *event[4:-1], "No such file or directory"))
    site.take(content)
    (clone / "later").touch()
    said = invoke("repro", "last").stdout
    assert "never read (when it was recorded: No such file or directory)" in said


def test_what_was_done_before_is_seen(clone: Path, site: ASite, invoke: Invoke) -> None:
    """The same code, inputs, parameters and command; else the exit code says that it was not."""
    site.take(a_run_of(clone, 1))
    seen = ("seen", "--pipeline", "digits", "--stage", "train", "-i", "data/in.txt")
    work = ("--", *ARGV)
    assert invoke(*seen, *work).stdout == an_id("exec", 1).hex() + "\n"
    assert invoke(*seen, "-o", "model.bin", *work).stdout == an_id("exec", 1).hex() + "\n"
    assert from_json(invoke(*seen, "--param", "lr=0.1", "--json", *work)) == {
        "executions": [an_id("exec", 1).hex()]
    }
    same = partial(Site.seen, argv=ARGV, pipeline="digits", stage="train", inputs=["data/in.txt"])
    with Site(site.path) as asked:
        assert same(asked, params={"lr": 0.1}) == [an_id("exec", 1).hex()]
        assert same(asked, params={"lr": 0.2}) == same(asked, code={"commit": "0"}) == []
    assert "did exactly this" in invoke(*seen, "--param", "lr=0.2", *work, code=17).stderr
    invoke(*seen, *work, "--more", code=17)
    invoke(*seen, "-i", "work.py", *work, code=17)
    invoke(*seen[:4], "other", *work, code=17)
    (clone / "data" / "in.txt").write_text("other hits")
    invoke(*seen, *work, code=17)
    (clone / "data" / "in.txt").write_text("hits")
    (clone / "work.py").write_text(PROGRAM + "\n")
    invoke(*seen, *work, code=17)
    invoke(*seen, "--any-code", *work)


def test_artifacts_are_listed_shown_and_hashed(clone: Path, site: ASite, invoke: Invoke) -> None:
    """The latest first, by kind, name and direction; one with all its uses."""
    site.take(a_run_of(clone, 1), a_run_of(clone, 2))
    listed = from_json(invoke("artifacts", "list", "--json"))
    assert [one["path"] for one in listed] == ["model.bin", "data/in.txt", "model.bin"]
    assert [one["n_consumers"] for one in listed] == [0, 2, 0]
    assert len(from_json(invoke("artifacts", "list", "--kind", "model", "-n", "1", "--json"))) == 1
    assert len(from_json(invoke("artifacts", "list", "--direction", "input", "--json"))) == 1
    assert len(from_json(invoke("artifacts", "search", "in.t", "--json"))) == 1
    assert "No such artifacts" in invoke("artifacts", "search", "nothing").stderr
    shown = from_json(invoke("artifacts", "show", "data/in.txt", "--json"))
    assert [one["execution"] for one in shown["uses"]] == [an_id("exec", n).hex() for n in (1, 2)]
    held = hash_path(clone / "data" / "in.txt").digest
    assert invoke("artifacts", "hash", "data/in.txt").stdout == held + "\n"
    assert held in invoke("artifacts", "show", held).stdout
    invoke("artifacts", "hash", "nothing", code=4)
