"""`cmfd slurm enrich`: what accounting says becomes facts of runs, once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_slurm import FakeSlurm, job, step
from support.packs import Content, an_id, small_run
from support.sites import ASite, Invoke, from_json, invoker

from cmfd.errors import NotFoundError
from cmfd.merge import enrich

if TYPE_CHECKING:
    from pathlib import Path

BEGIN_S = 1_700_000_000
"""When run 0 of `small_run` begins."""

SCRIPT = "#!/bin/bash\nexport API_TOKEN=geheim\nsrun ./a.out\n"

CONTROLLER = f"""JobId=0 JobName=train
   UserId=ann(1000) GroupId=ann(1000) MCS_label=N/A
   Priority=1 Nice=0 Account=physics QOS=normal
   JobState=FAILED Reason=NonZeroExitCode Dependency=(null)
   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0
   RunTime=00:01:40 TimeLimit=00:10:00 TimeMin=N/A
   SubmitTime={BEGIN_S - 60} EligibleTime={BEGIN_S - 60}
   StartTime={BEGIN_S} EndTime={BEGIN_S + 100} Deadline=N/A
   Partition=debug AllocNode:Sid=login:1
   NodeList=n[1-2]
   NumNodes=2 NumCPUs=4 NumTasks=4 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   TRES=cpu=4,mem=1G,node=2
   MinCPUsNode=1 MinMemoryNode=512M MinTmpDiskNode=0
   Command=(null)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Give commands of SLURM that say what a test wants; nothing waits."""
    monkeypatch.setattr(enrich, "ASK_AGAIN_S", 0.0)
    return FakeSlurm(tmp_path / "slurm").install(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Give a site without runs."""
    return ASite(tmp_path / "site")


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Give a function that runs a command on the site, in this process."""
    return invoker(site, tmp_path, monkeypatch)


def a_job(number: int, name: str = "", restart: int = 0) -> Content:
    """Return a run of a job that nobody said the end of: it was killed."""
    content = small_run(number)
    content["run"] = [(*row[:5], name or row[5], restart, *row[7:]) for row in content["run"]]
    content["run_end"] = []
    content["process_state"] = [
        (*row[:4], "lost", None, None, *row[7:]) for row in content["process_state"]
    ]
    return content


def facts(invoke: Invoke, run: str = "last") -> dict[str, Any]:
    """Return a run's facts, without their prefix."""
    shown = from_json(invoke("show", run, "--json"))
    return {fact["key"].partition(".")[2]: fact["value"] for fact in shown["facts"]}


def n_packs(site: ASite) -> int:
    """Return how many packs the site has."""
    return len(list(site.path.glob("packs/*/*.db")))


def test_what_accounting_says_is_joined(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """To every run of a job without it."""
    site.take(a_job(0), a_job(1))
    slurm.account(job(0, BEGIN_S), step("0.batch", BEGIN_S), step("0.0", BEGIN_S), job(1, BEGIN_S))

    assert invoke("slurm", "enrich").stdout == "2 runs joined\n"

    known = facts(invoke, "0")
    wanted = {
        "state": "COMPLETED", "account": "physics", "partition": "debug", "qos": "normal",
        "exit_code": 0, "submit_time_s": BEGIN_S - 60, "eligible_time_s": BEGIN_S - 30,
        "start_time_s": BEGIN_S, "end_time_s": BEGIN_S + 100, "time_limit_s": 600, "cpus": 4,
        "nodes": 2, "node_list": "n[1-2]", "requested_memory_bytes": 1 << 30,
        "total_cpu_s": 300.0, "max_rss_bytes": 200 << 20, "used_memory_bytes": 256 << 20,
        "energy_j": 500, "submit_line": "sbatch job.sh", "n_steps": 2, "accounting": "sacct",
    }  # fmt: skip
    assert {key: known.get(key) for key in wanted} == wanted
    assert [step["step"] for step in known["steps"]] == ["batch", "0"]
    assert "reason" not in known, "None is no reason"


def test_asking_again_changes_nothing(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """No pack, no other digest, and without names not even a question."""
    site.take(a_job(0))
    slurm.account(job(0, BEGIN_S))
    invoke("slurm", "enrich")
    before = (n_packs(site), invoke("site", "digest").stdout)
    n_asked = len(slurm.asked())

    assert invoke("slurm", "enrich", "0").stdout == "0 runs joined, 1 unchanged\n"
    assert (n_packs(site), invoke("site", "digest").stdout) == before
    n_asked_now = len(slurm.asked())
    assert n_asked_now > n_asked
    assert invoke("slurm", "enrich").stdout == "0 runs joined\n"
    assert len(slurm.asked()) == n_asked_now


def test_only_what_is_new_is_said(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """A correction in accounting reaches the site, and wins."""
    site.take(a_job(0))
    slurm.account(job(0, BEGIN_S))
    invoke("slurm", "enrich")
    slurm.account(job(0, BEGIN_S, Account="chemistry"))
    invoke("slurm", "enrich", "0")
    assert facts(invoke)["account"] == "chemistry"
    invoke("site", "reindex")
    assert facts(invoke)["account"] == "chemistry", "packs are the truth"


def test_accounting_that_is_behind_is_waited_for(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """For some seconds after its end a job has no partition, another name, steps without an end."""
    site.take(a_job(0))
    slurm.account(before=1)
    slurm.account(job(0, BEGIN_S, State="RUNNING", End="Unknown"), before=2)
    slurm.account(job(0, BEGIN_S, JobName="allocation", Partition=""), before=3)
    slurm.account(job(0, BEGIN_S), step("0.0", BEGIN_S, End="Unknown"), before=4)
    slurm.account(job(0, BEGIN_S), step("0.0", BEGIN_S))

    invoke("slurm", "enrich", "0", "--wait", "60")
    known = facts(invoke)
    assert (known["partition"], known["job_name"]) == ("debug", "train")
    assert known["steps"][0]["end_time_s"] == BEGIN_S + 100


def test_a_job_that_goes_on_is_left_alone(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """Asked by name that is a failure, which says how it stands."""
    site.take(a_job(0))
    slurm.account(job(0, BEGIN_S, State="RUNNING", End="Unknown"))

    said = invoke("slurm", "enrich", "0", "--wait", "0", code=12)
    assert "RUNNING" in said.output
    assert facts(invoke) == {}
    assert invoke("slurm", "enrich").stdout == "0 runs joined, 1 not over\n"


def test_without_accounting_the_controller_is_asked(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """What it remembers is joined; the rest, when accounting is there; it is not taken back."""
    site.take(a_job(0))
    slurm.refuse("Slurm accounting storage is disabled")
    slurm.remember(CONTROLLER)
    invoke("slurm", "enrich", "0")
    known = facts(invoke)
    assert (known["accounting"], known["state"], known["exit_code"]) == ("scontrol", "FAILED", 3)
    assert known["requested_memory_bytes"] == 1 << 30
    assert "total_cpu_s" not in known

    slurm.refuse("")
    slurm.account(job(0, BEGIN_S, State="FAILED", ExitCode="3:0"))
    assert invoke("slurm", "enrich", "0").stdout == "1 run joined\n"
    assert facts(invoke)["total_cpu_s"] == 300

    slurm.refuse("Problem talking to the database")
    assert "1 unchanged" in invoke("slurm", "enrich", "0").stdout
    assert facts(invoke)["accounting"] == "sacct"


def test_a_job_that_nobody_remembers(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """Is told, with what accounting said."""
    site.take(a_job(0))
    slurm.refuse("Slurm accounting storage is disabled")
    said = invoke("slurm", "enrich", "0", "--wait", "0", code=12)
    assert "accounting storage is disabled" in said.output
    assert "forgot" in said.output


def test_a_machine_without_slurm(
    site: ASite, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says so, and does no harm."""
    monkeypatch.setattr("cmfd.slurm.commands.PLACES", ())
    monkeypatch.setenv("PATH", str(site.path))
    site.take(a_job(0))
    said = invoke("slurm", "enrich").stdout
    assert said.startswith("0 runs joined, 1 unknown to SLURM\n")
    assert "no SLURM" in said


def test_each_start_of_a_job_is_joined_to_its_run(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """The first was requeued, the second went well."""
    first, second = a_job(0, "7"), a_job(500, "7", restart=1)
    site.take(first, second)
    slurm.account(
        job(7, BEGIN_S, State="REQUEUED"), step("7.0", BEGIN_S), job(7, BEGIN_S + 490),
        step("7.0", BEGIN_S + 490, TotalCPU="01:00"),
    )  # fmt: skip

    assert invoke("slurm", "enrich", "7").stdout == "2 runs joined\n"
    states = [facts(invoke, an_id("run", n).hex())["state"] for n in (0, 500)]
    assert states == ["REQUEUED", "COMPLETED"]
    assert facts(invoke, an_id("run", 500).hex())["steps"][0]["total_cpu_s"] == 60


def states(invoke: Invoke, *numbers: int) -> list[str | None]:
    """Return what became of the jobs of runs, as far as it is known."""
    return [facts(invoke, an_id("run", number).hex()).get("state") for number in numbers]


def test_a_start_that_accounting_does_not_have_is_given_no_others_record(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """It is waited for, told, and left to a later time."""
    site.take(a_job(0, "7"), a_job(20, "7", restart=1))
    second = (job(7, BEGIN_S + 20, End=f"{BEGIN_S + 30}"), step("7.0", BEGIN_S + 20))
    slurm.account(*second)
    said = invoke("slurm", "enrich", "7", "--wait", "0", code=12)
    assert "1 run joined, 1 unknown to SLURM" in said.output
    assert states(invoke, 0, 20) == [None, "COMPLETED"]

    slurm.account(*second, before=1)
    first = job(7, BEGIN_S, State="PREEMPTED", Start="None", End=f"{BEGIN_S + 2}", ElapsedRaw="0")
    slurm.account(first, step("7.0", BEGIN_S), *second)
    assert "1 run joined" in invoke("slurm", "enrich", "7", "--wait", "60").stdout
    assert states(invoke, 0, 20) == ["PREEMPTED", "COMPLETED"]
    known = facts(invoke, an_id("run", 0).hex())
    assert (known["start_time_s"], known["elapsed_s"]) == (BEGIN_S, 2)


def test_what_another_start_was_given_in_error_is_corrected(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """When more is known, whichever start of the job was asked about; one without facts is not."""
    site.take(a_job(0, "7"))
    second = job(7, BEGIN_S + 20, End=f"{BEGIN_S + 30}")
    slurm.account(second)
    invoke("slurm", "enrich")
    assert states(invoke, 0) == ["COMPLETED"], "there is nothing that speaks against it"

    site.take(a_job(20, "7", restart=1), a_job(40, "7", restart=2))
    first = job(7, BEGIN_S, State="REQUEUED", End=f"{BEGIN_S + 10}")
    slurm.account(first, second, job(7, BEGIN_S + 40))
    last = an_id("run", 40).hex()
    assert invoke("slurm", "enrich", last).stdout == "1 run joined, 1 corrected\n"
    assert states(invoke, 0, 20, 40) == ["REQUEUED", None, "COMPLETED"]
    assert invoke("slurm", "enrich").stdout == "1 run joined\n"
    assert invoke("slurm", "enrich", "7").stdout == "0 runs joined, 3 unchanged\n"


def test_a_task_of_an_array_and_the_whole_array(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """The array's number stands for all its tasks."""
    site.take(a_job(0, "40_1"), a_job(1, "40_2"), a_job(2, "401"))
    slurm.account(
        job(41, BEGIN_S, JobID="40_1"), job(40, BEGIN_S, JobID="40_2", State="FAILED"),
    )  # fmt: skip
    assert invoke("slurm", "enrich", "40").stdout == "2 runs joined\n"
    assert facts(invoke, "40_1")["state"] == "COMPLETED"
    assert facts(invoke, "40_2")["state"] == "FAILED"
    assert facts(invoke, "40_2")["array_task"] == 2
    assert facts(invoke, "401") == {}


def test_a_task_that_was_recorded_by_its_own_number(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """As a service does, which knows no other; from then on the array's number stands for it."""
    site.take(a_job(0, "41"), a_job(1, "40"))
    slurm.account(job(41, BEGIN_S, JobID="40_1"), job(40, BEGIN_S, JobID="40_2"))
    assert invoke("slurm", "enrich").stdout == "2 runs joined\n"
    assert facts(invoke, "41")["job"] == "40_1"
    assert invoke("slurm", "enrich", "40").stdout == "0 runs joined, 2 unchanged\n"
    assert facts(invoke, "40_2")["array_task"] == 2
    listed = from_json(invoke("runs", "--json"))
    assert [run["job"] for run in listed] == ["40_2", "40_1"]
    several = invoke("show", "40", code=NotFoundError.exit_code).output
    assert "job 40_1" in several
    assert "job 40_2" in several


def test_a_jobs_script_is_known_by_its_digest(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """Its text is not kept."""
    site.take(a_job(0))
    slurm.account(job(0, BEGIN_S), step("0.batch", BEGIN_S))
    slurm.keep_script(SCRIPT)
    invoke("slurm", "enrich")
    known = facts(invoke)
    assert known["script_digest"] == f"sha256:{hashlib.sha256(SCRIPT.encode()).hexdigest()}"
    assert "script" not in known


def test_a_jobs_script_is_kept_where_that_is_allowed(
    site: ASite, invoke: Invoke, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the secrets in it; also when it was not allowed at first."""
    site.take(a_job(0))
    slurm.account(job(0, BEGIN_S), step("0.batch", BEGIN_S))
    slurm.keep_script(SCRIPT)
    invoke("slurm", "enrich")
    monkeypatch.setenv("CMFD_JOB_SCRIPT", "true")
    invoke("slurm", "enrich", "0")
    script = facts(invoke)["script"]
    assert "srun ./a.out" in script
    assert "geheim" not in script
    assert "1 unchanged" in invoke("slurm", "enrich", "0").stdout


def test_secrets_of_command_lines_are_masked(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """Those of jobs and of steps."""
    site.take(a_job(0))
    line = "sbatch --export=ALL,DB_PASSWORD=geheim --token geheim job.sh"
    slurm.account(job(0, BEGIN_S, SubmitLine=line), step("0.0", BEGIN_S, SubmitLine=line))
    invoke("slurm", "enrich")
    known = facts(invoke)
    assert "geheim" not in str(known)
    assert known["submit_line"].startswith("sbatch --export=ALL,DB_PASSWORD=")
    assert known["steps"][0]["submit_line"] == known["submit_line"]


def test_a_submitted_script_goes_by_the_name_that_the_user_gave_it(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """SLURM knows only of the copy that was submitted."""
    site.take(a_job(0))
    line = "sbatch --parsable -N2 /tmp/cmfd-submit-abc_1234/runs/job.sh a"
    slurm.account(job(0, BEGIN_S, SubmitLine=line))
    invoke("slurm", "enrich")
    assert facts(invoke)["submit_line"] == "cmfd slurm submit -N2 runs/job.sh a"


def test_what_follows_a_job_that_nobody_knows(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """It is an error; one that the controller has forgotten is over, and is not waited for."""
    site.take(a_job(0))
    said = invoke("slurm", "merge-after", "999", code=4).output
    assert f"neither SLURM nor {site.path} knows a job 999: nothing was submitted" in said
    slurm.accept("17")
    assert invoke("slurm", "merge-after", "0").stdout == "17\n"
    slurm.account(job(4711, BEGIN_S))
    assert invoke("slurm", "merge-after", "4711").stdout == "17\n"
    assert not any("--dependency" in line for line in slurm.submitted())


@pytest.mark.parametrize(
    ("state", "status", "shown"),
    [
        ("COMPLETED", "completed", "completed"),
        ("FAILED", "failed", "failed (exit 3)"),
        ("TIMEOUT", "failed", "failed (TIMEOUT, exit 3)"),
        ("OUT_OF_MEMORY", "failed", "failed (OUT_OF_MEMORY, exit 3)"),
        ("NODE_FAIL", "failed", "failed (NODE_FAIL, exit 3)"),
        ("CANCELLED by 1000", "cancelled", "cancelled (exit 3)"),
        ("PREEMPTED", "cancelled", "cancelled (PREEMPTED, exit 3)"),
        ("REQUEUED", "cancelled", "cancelled (REQUEUED, exit 3)"),
    ],
)
def test_a_run_that_nobody_ended_stands_as_its_job(
    site: ASite, invoke: Invoke, slurm: FakeSlurm, *, state: str, status: str, shown: str
) -> None:
    """Killed, it could not say why; SLURM does."""
    site.take(a_job(0))
    assert "lost" in invoke("runs").stdout
    code = "0:0" if state == "COMPLETED" else "3:0"
    slurm.account(job(0, BEGIN_S, State=state, ExitCode=code))
    invoke("slurm", "enrich")
    (run,) = from_json(invoke("runs", "--json"))
    assert (run["status"], run["job_state"]) == (status, state.partition(" ")[0])
    assert shown in invoke("runs").stdout
    assert invoke("runs", "--status", status).stdout


@pytest.mark.parametrize("said", [("cancelled", None, 15), ("completed", 0, None), None])
def test_a_run_stands_as_its_job_however_that_was_submitted(
    site: ASite, invoke: Invoke, slurm: FakeSlurm, said: tuple[str, int | None, int | None] | None
) -> None:
    """A script that `cmfd slurm submit` watched says how it ended; a plain one says nothing."""
    content = a_job(0)
    if said is not None:
        (end,) = small_run(0)["run_end"]
        content["run_end"] = [(*end[:3], *said)]
    site.take(content)
    slurm.account(job(0, BEGIN_S, State="TIMEOUT"))
    invoke("slurm", "enrich")
    (run,) = from_json(invoke("runs", "--json"))
    assert (run["status"], run["job_state"]) == ("failed", "TIMEOUT")
    assert "failed (TIMEOUT" in invoke("show", "0").stdout


def test_a_step_that_failed_in_a_job_that_completed_is_told(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """The job stands as SLURM says; that not all went well is beside it."""
    content = a_job(0)
    failed = [(*row[:4], "failed", *row[5:]) for row in content["process_state"]]
    content["process_state"] = failed
    site.take(content)
    assert "failed" in invoke("runs").stdout
    slurm.account(job(0, BEGIN_S))
    invoke("slurm", "enrich")
    (run,) = from_json(invoke("runs", "--json"))
    assert (run["status"], run["n_failed"]) == ("completed", 1)
    assert "completed (1 of 1 failed)" in invoke("runs").stdout


def test_the_steps_of_a_job_are_shown(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """As a table, not as one long line."""
    site.take(a_job(0))
    slurm.account(job(0, BEGIN_S), step("0.batch", BEGIN_S), step("0.0", BEGIN_S))
    invoke("slurm", "enrich")
    shown = invoke("show", "last").stdout
    assert "slurm.steps" not in shown
    line = next(line for line in shown.splitlines() if line.startswith("0 "))
    for cell in ("python", "5 min 00 s", "256.0 MiB", "500 J", "COMPLETED"):
        assert cell in line


def test_a_run_of_no_job_is_passed_over(site: ASite, invoke: Invoke, slurm: FakeSlurm) -> None:
    """And one that is not there is an error."""
    content = small_run(0)
    content["run"] = [(*row[:5], "", *row[6:]) for row in content["run"]]
    site.take(content)
    assert invoke("slurm", "enrich").stdout == "0 runs joined\n"
    assert slurm.asked() == []
    assert "No run goes by" in invoke("slurm", "enrich", "4711", code=4).output


@pytest.mark.slow
def test_one_question_is_asked_about_many_jobs(
    site: ASite, invoke: Invoke, slurm: FakeSlurm
) -> None:
    """Accounting's database serves the whole cluster."""
    site.take(*(a_job(number) for number in range(30)))
    slurm.account(*(job(number, BEGIN_S) for number in range(30)))
    said = from_json(invoke("slurm", "enrich", "--json"))
    assert len(said["joined"]) == 30
    assert len([words for words in slurm.asked() if "--duplicates" in words]) == 1
