"""What SLURM's commands print, of several releases: see samples/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd import slurm
from cmfd.errors import SlurmError
from cmfd.slurm import figures, sacct_json, sacct_text, scontrol
from cmfd.slurm.jobfacts import facts_of
from cmfd.slurm.records import Record
from cmfd.slurm.starts import Start, by_job, records_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = Path(__file__).parent / "samples"
ROOT = Path(__file__).parents[2]
MIB = 1 << 20


def told_in_text(release: str) -> list[Record]:
    """Return the records of a sample of text."""
    fields = sacct_text.fields_of(sample(f"sacct-{release}.helpformat.txt"))
    return sacct_text.read(sample(f"sacct-{release}.txt"), fields)


def sample(name: str) -> str:
    """Return a sample."""
    return (SAMPLES / name).read_text("utf-8")


def start_of(
    records: Sequence[Record], job: str, restart: int, began_s: float | None
) -> list[Record]:
    """Return the records of a start of a job, of which no other is known."""
    start = Start(restart, began_s)
    return records_of(by_job(records).get(job, []), [start])[start]


def facts(records: Sequence[Record]) -> dict[str, object]:
    """Return facts without their prefix."""
    return {fact.key.partition(".")[2]: fact.value for fact in facts_of(records, "sacct")}


def test_a_job_of_22_05_with_its_steps() -> None:
    """Memory of all tasks and of the largest, processor time, energy: as it was measured."""
    (record,) = start_of(told_in_text("22.05"), "1", 0, None)
    known = facts([record])
    assert record.is_settled
    assert [step.step for step in record.steps] == ["batch", "0", "1", "2"]
    assert {key: known[key] for key in ("state", "exit_code", "nodes", "node_list", "cpus")} == {
        "state": "COMPLETED", "exit_code": 0, "nodes": 2, "node_list": "nc[1-2]", "cpus": 4,
    }  # fmt: skip
    assert known["max_rss_bytes"] == 92_323_840
    assert known["used_memory_bytes"] == 368_455_680
    assert known["requested_memory_bytes"] == 8000 * MIB
    assert known["total_cpu_s"] == pytest.approx(4.065)
    assert known["energy_j"] == 649
    assert known["end_time_s"] == known["start_time_s"] + 3  # type: ignore[operator]
    assert "time_limit_s" not in known, "it has none"


def test_names_and_submit_lines_may_hold_bars_and_line_breaks() -> None:
    """Nothing that a user calls a job moves a field."""
    records = told_in_text("22.05")
    assert [record.job_name for record in records][:1] == ["two words|pipe"]
    assert [record.job_name for record in records][-1] == "evil\n   UserId=root(0) Account=boss"
    assert {record.account for record in records} == {"test"}
    assert "\nimport time\n" in records[0].steps[1].submit_line


def test_how_jobs_ended() -> None:
    """By state, exit code and signal; and who cancelled."""
    found = {
        (record.job, record.state): (record.exit_code, record.exit_signal)
        for record in told_in_text("22.05")
    }
    assert found[9, "FAILED"] == (2, None)
    assert found[3, "FAILED"] == (11, None)
    assert found[4, "TIMEOUT"] == (0, None)
    assert found[7, "CANCELLED"] == (0, None)
    by_number = {record.job: record for record in told_in_text("22.05")}
    assert by_number[7].cancelled_by_uid == 20001
    assert by_number[3].derived_exit_signal == 11
    assert by_number[4].time_limit_s == 60
    steps = {step.step: (step.state, step.exit_signal) for step in by_number[4].steps}
    assert steps == {"batch": ("CANCELLED", 15), "0": ("CANCELLED", 15)}


def test_json_says_the_same_as_text_but_for_what_22_05_leaves_out() -> None:
    """Its JSON has no submit lines, and exit codes that are wrong: that is why it is not used."""
    in_text = {(one.job, one.submit_time_s): one for one in told_in_text("22.05")}
    unlike: set[str] = set()
    records = sacct_json.read(sample("sacct-22.05.json"))
    assert len(records) == 6
    for record in records:
        other = in_text[record.job, record.submit_time_s]
        pairs: list[tuple[msgspec.Struct, msgspec.Struct]] = [(record, other)]
        pairs += zip(record.steps, other.steps, strict=True)
        for one, two in pairs:
            for name in one.__struct_fields__:
                mine, theirs = getattr(one, name), getattr(two, name)
                if name == "total_cpu_s":  # text is to the millisecond, cut off
                    assert mine == pytest.approx(theirs, abs=0.001)
                elif name == "energy_j":  # where none was measured, text says 0 or nothing
                    assert (mine or 0) == (theirs or 0)
                elif name != "steps" and mine != theirs:
                    unlike.add(name)
    assert unlike == {"exit_code", "submit_line"}


def paths(document: Any, above: str = "") -> set[str]:
    """Return which keys a document has under which, and of what types their values are."""
    if isinstance(document, dict):
        return {path for key in document for path in paths(document[key], f"{above}.{key}")}
    if isinstance(document, list):
        return {f"{above}[]"}.union(*(paths(item, f"{above}[]") for item in document))
    return {f"{above}:{type(document).__name__}"}


def test_json_of_a_job_without_limit_usage_or_energy_as_24_05_prints_it() -> None:
    """No limit is infinite, no energy is -2, and no usage is no list."""
    (record,) = sacct_json.read(sample("sacct-24.05.json"))
    assert (record.state, record.exit_code, record.node_list) == ("COMPLETED", 0, "n7")
    assert (record.time_limit_s, record.energy_j, record.array_task) == (None, None, None)
    assert record.requested_memory_bytes == 4000 * MIB
    (step,) = record.steps
    assert (step.step, step.state, step.max_rss_bytes) == ("batch", "COMPLETED", None)


@pytest.mark.parametrize("release", ["23.11", "24.11"])
def test_made_up_samples_have_the_shape_of_what_was_printed(release: str) -> None:
    """All that a real one has; their steps have used something, and nodes have no list of names."""
    real, ours = (json.loads(sample(f"sacct-{one}.json"))["jobs"] for one in ("24.05", release))
    assert paths(real) - paths(ours) == {"[].steps[].nodes.list[]:str"}


def test_json_of_23_11() -> None:
    """States are lists, numbers are wrapped, steps are named with their job."""
    completed, failed, cancelled = sacct_json.read(sample("sacct-23.11.json"))
    known = facts([completed])
    assert known["state"] == "COMPLETED"
    assert (known["requested_memory_bytes"], known["allocated_memory_bytes"]) == (4096 * MIB,) * 2
    assert (known["cpus"], known["allocated_gpus"], known["nodes"]) == (8, 2, 2)
    assert (known["reservation"], known["time_limit_s"]) == ("friday", 600)
    assert (known["used_memory_bytes"], known["max_rss_bytes"]) == (300 * MIB, 100 * MIB)
    assert (known["total_cpu_s"], known["energy_j"]) == (50.25, 1234)
    assert known["submit_line"] == "sbatch -N2 job.sh"
    assert [step.step for step in completed.steps] == ["batch", "0"]
    assert completed.is_settled
    assert (failed.exit_code, failed.exit_signal, failed.reason) == (3, None, "NonZeroExitCode")
    assert (failed.array_job, failed.array_task) == (101, 4)
    assert (cancelled.exit_code, cancelled.exit_signal) == (None, 15)
    assert cancelled.time_limit_s is None


def test_json_of_24_11_counts_restarts() -> None:
    """Which makes a start known by its number, in whatever order they come."""
    records = sacct_json.read(sample("sacct-24.11.json"))
    for restart, state in ((0, "REQUEUED"), (1, "COMPLETED")):
        (start,) = start_of(records[::-1], "103", restart, None)
        assert start.state == state
    assert start_of(records, "103", 2, None) == []


def test_a_het_job_is_all_its_components() -> None:
    """Counts are of all, the rest is the leader's; steps say whose they are."""
    for records, job in (
        (sacct_json.read(sample("sacct-24.11.json")), "104"),
        (told_in_text("22.05"), "5"),
    ):
        parts = start_of(records, job, 0, None)
        assert [part.het_component for part in parts] == [0, 1]
        known = facts(parts)
        assert known["het_components"] == 2
        assert known["cpus"] == sum(part.cpus or 0 for part in parts)
        assert str(known["node_list"]).count(",") == 1
        steps = [step["step"] for step in json.loads(str(known["steps"]))]
        assert steps[0] == "batch"
        assert steps[-1] == "1+0"


def test_text_of_20_02_without_the_fields_that_came_later() -> None:
    """Memory was asked for by node or CPU; what all tasks used follows from the largest."""
    old, oom, running = told_in_text("20.02")
    known = facts([old])
    assert known["requested_memory_bytes"] == 2 * 2000 * MIB
    assert known["allocated_memory_bytes"] == 4000 * MIB
    assert known["used_memory_bytes"] == 3 * 100 * MIB
    assert known["total_cpu_s"] == 86401
    assert known["energy_j"] == 77, "a number that stands for none is none"
    assert "submit_line" not in known
    assert (oom.state, oom.exit_signal, oom.requested_memory_bytes) == (
        "OUT_OF_MEMORY", 125, 8 * 500 * MIB,
    )  # fmt: skip
    assert not running.is_final
    assert not running.is_settled


def test_the_controllers_words_of_22_05() -> None:
    """Array, het job, limits of days, what a pending job waits for."""
    found = {record.job: record for record in scontrol.read(sample("scontrol-22.05.txt"))}
    assert len(found) == 11
    assert (found[12].state, found[12].exit_code, found[12].time_limit_s) == ("FAILED", 3, 300)
    assert (found[18].array_job, found[18].array_task) == (14, 1)
    assert (found[16].het_job, found[16].het_component) == (15, 1)
    assert found[19].time_limit_s == 3 * 86400
    assert found[19].requested_memory_bytes == 2 * 50 * MIB
    assert found[21].time_limit_s == ((24 + 2) * 60 + 4) * 60, "whole minutes"
    assert (found[22].state, found[22].dependency) == ("PENDING", "afterok:21(failed)")
    assert found[13].exit_signal == 53
    assert all(record.restart == 0 for record in found.values())


def test_a_jobs_name_cannot_pass_for_the_controllers_words() -> None:
    """It stands before them, and may hold line breaks."""
    found = {record.job: record for record in scontrol.read(sample("scontrol-22.05.txt"))}
    assert (found[17].job_name, found[17].user, found[17].account) == ("evil", "alice", "test")


def test_the_controllers_words_of_24_11() -> None:
    """What was asked for and what was allotted are told apart."""
    (record,) = scontrol.read(sample("scontrol-24.11.txt"))
    known = facts([record])
    assert (record.job_name, record.restart, record.state) == ("train me", 2, "TIMEOUT")
    assert known["allocated_gpus"] == 2
    assert known["allocated_memory_bytes"] == 4096 * MIB
    assert known["requested_memory_bytes"] == 4096 * MIB
    assert (known["elapsed_s"], known["reservation"]) == (86405, "friday")


@pytest.mark.parametrize("text", ["nonsense\n", "a\x1fb", "1\x1f2\n3"])
def test_text_of_another_form_is_refused(text: str) -> None:
    """A warning among it, half of a line: better nothing than something wrong."""
    with pytest.raises(SlurmError):
        sacct_text.read(text, sacct_text.FIELDS)


def test_every_beginning_of_an_output_is_refused_or_has_whole_jobs_only() -> None:
    """A command that was killed has printed some of it."""
    fields = sacct_text.fields_of(sample("sacct-22.05.helpformat.txt"))
    text = sample("sacct-22.05.txt")
    whole = sacct_text.read(text, fields)
    for end in range(0, len(text), 97):
        try:
            found = sacct_text.read(text[:end], fields)
        except SlurmError:
            continue
        for record, other in zip(found, whole, strict=False):
            assert msgspec.structs.replace(record, steps=[]) == msgspec.structs.replace(
                other, steps=[]
            )


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", '{"errors": [], "jobs": [{}]}', '{"errors": [], "jobs": 1}',
        '{"errors": [{"description": "slurmdbd is away"}], "jobs": []}', '{"errors": []',
    ],
)  # fmt: skip
def test_json_of_another_form_is_refused(text: str) -> None:
    """Also what is well-formed and says that it went wrong."""
    with pytest.raises(SlurmError):
        sacct_json.read(text)


def test_nothing_is_read_from_nothing() -> None:
    """A job that accounting does not know prints no line."""
    assert sacct_text.read("", sacct_text.FIELDS) == []
    assert scontrol.read("") == []


def starts(*times: tuple[int, int | None]) -> list[Record]:
    """Return starts of job 7 that began and ended at times."""
    return [
        Record(job=7, submit_time_s=begin, start_time_s=begin, end_time_s=end)
        for begin, end in times
    ]


def test_a_start_is_found_by_its_number() -> None:
    """The n-th record, in the order of time, is that of the n-th restart."""
    records = starts((5000, 6000), (1000, 2000), (3000, 4000))
    assert [start_of(records, "7", n, None)[0].start_time_s for n in range(3)] == [
        1000, 3000, 5000,
    ]  # fmt: skip


BEGAN_S = (1795453638.4, 1795453656.1)
"""When the two starts of the job began that `sacct-22.05-requeued.txt` is about, on a node."""


@pytest.mark.parametrize(
    ("moment", "first", "second"),
    [
        (1, "PREEMPTED", None), (2, "PREEMPTED", "PENDING"), (3, "PREEMPTED", "COMPLETED"),
        (4, "PREEMPTED", "COMPLETED"),
    ],
)  # fmt: skip
def test_no_start_is_given_anothers_record(moment: int, first: str, second: str | None) -> None:
    """While records come, and when the first has not all that it should have."""
    fields = sacct_text.fields_of(sample("sacct-22.05.helpformat.txt"))
    text = sample("sacct-22.05-requeued.txt").split("\x1e\n")[moment]
    told = sacct_text.read(text, fields)
    began = [Start(restart, began_s) for restart, began_s in enumerate(BEGAN_S)]
    for known in ([began[0]], [began[1]], began):
        found = records_of(by_job(told).get("1", []), known)
        states = {start: [record.state for record in found[start]] for start in known}
        wanted = {began[0]: [first], began[1]: [second] if second else []}
        assert states == {start: wanted[start] for start in known}


def test_a_start_that_accounting_did_not_hear_of_began_with_its_first_step() -> None:
    """Its job's record has no time for that."""
    fields = sacct_text.fields_of(sample("sacct-22.05.helpformat.txt"))
    *_, whole, odd = sample("sacct-22.05-requeued.txt").split("\x1e\n")
    for text in (whole, odd):
        known = facts(start_of(sacct_text.read(text, fields), "1", 0, BEGAN_S[0]))
        assert (known["start_time_s"], known["elapsed_s"]) == (1795453638, 4)


@st.composite
def started(draw: st.DrawFn) -> list[tuple[int, int, float]]:
    """Draw the starts of a job: when each began and ended, and a time between, on a node."""
    found, at_s = [], 1_000_000
    for _ in range(draw(st.integers(1, 6))):
        begin_s = at_s + draw(st.integers(1, 400))
        at_s = begin_s + draw(st.integers(2, 4000))
        found.append((begin_s, at_s, begin_s + draw(st.floats(0.5, at_s - begin_s - 0.5))))
    return found


@given(started(), st.sets(st.integers(0, 5)), st.floats(-300, 300))
def test_each_start_has_its_own_record(
    job: list[tuple[int, int, float]], unknown: set[int], ahead_s: float
) -> None:
    """Whichever of them are known, and however much a node's clock is ahead or behind."""
    told = starts(*((begin_s, end_s) for begin_s, end_s, _ in job))
    known = [Start(n, job[n][2] + ahead_s) for n in range(len(job)) if n not in unknown]
    found = records_of(by_job(told[::-1]).get("7", []), known)
    assert found == {start: [told[start.restart]] for start in known}


@given(started(), st.sets(st.integers(0, 5)))
def test_a_start_without_a_record_has_none(
    job: list[tuple[int, int, float]], gone: set[int]
) -> None:
    """Of those that are late, or no longer kept; the others have theirs."""
    told = starts(*((begin_s, end_s) for begin_s, end_s, _ in job))
    known = [Start(n, began_s) for n, (_, _, began_s) in enumerate(job)]
    left = [record for n, record in enumerate(told) if n not in gone]
    found = records_of(by_job(left).get("7", []), known)
    assert found == {
        start: [] if start.restart in gone else [told[start.restart]] for start in known
    }


def test_two_runs_of_one_start_have_the_same_record() -> None:
    """As of a program that was handed down the id of another run; the job was requeued once."""
    told = starts((1000, 5000), (6000, 9000))
    first, also, second = Start(0, 1001), Start(0, 3000), Start(1, 6001)
    assert records_of(by_job(told).get("7", []), [first, also, second]) == {
        first: told[:1], also: told[:1], second: told[1:],
    }  # fmt: skip
    assert records_of(by_job(told[1:]).get("7", []), [first, also, second]) == {
        first: [], also: [], second: told[1:],
    }  # fmt: skip


def test_the_controller_has_no_other_start_than_the_latest() -> None:
    """It counts them: an earlier one is not taken for it."""
    (latest,) = starts((1000, 1020))
    told = [msgspec.structs.replace(latest, restart=1)]
    assert start_of(told, "7", 0, 995) == []
    assert start_of(told, "7", 1, 1001) == told


def test_tasks_of_an_array_that_are_to_come_are_no_start() -> None:
    """They stand in one line, under the number of the last of them; the others are read."""
    first = sample("sacct-22.05.txt").partition("\n")[0].split(sacct_text.DELIMITER)
    pending = sacct_text.DELIMITER.join(("19", "19_[3-30%3]", *first[2:-1], "19")) + "\n"
    fields = sacct_text.fields_of(sample("sacct-22.05.helpformat.txt"))
    told = sacct_text.read(sample("sacct-22.05.txt") + pending, fields)
    assert told == told_in_text("22.05")


def test_a_number_that_was_given_again_is_told_apart_by_time() -> None:
    """Of a cluster that began to count anew: the job that ran at the time, not the first."""
    records = starts((1000, 2000), (900_000, 901_000))
    (found,) = start_of(records, "7", 0, 900_500)
    assert found.start_time_s == 900_000
    assert start_of(records, "7", 0, 500_000) == []


def test_a_task_of_an_array_goes_by_two_names() -> None:
    """Users call it 2_1; its own number is all that a Prolog knows. 2 is the number of 2_2."""
    records = told_in_text("22.05")
    assert [record.job for record in start_of(records, "2_1", 0, None)] == [9]
    assert [record.job for record in start_of(records, "9", 0, None)] == [9]
    assert [record.job for record in start_of(records, "2_2", 0, None)] == [2]
    assert [record.array_task for record in start_of(records, "2", 0, None)] == [2]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:04.065", 4.065), ("03:04:05", 11045), ("1-00:00:01", 86401), ("10:00", 600),
        ("UNLIMITED", None), ("", None), ("Partition_Limit", None), ("INVALID", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    """Of a limit that is none, none."""
    assert figures.duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("12368K", 12368 << 10), ("4000M", 4000 * MIB), ("1.50G", 1536 * MIB), ("7", 7),
        ("0", 0), ("", None), ("many", None), ("16?", None),
    ],
)  # fmt: skip
def test_memory(text: str, n_bytes: int | None) -> None:
    """Of 1024 each."""
    assert figures.memory_bytes(text) == n_bytes


@given(st.text(max_size=20))
def test_no_text_makes_reading_figures_fail(text: str) -> None:
    """Not even digits of other alphabets."""
    figures.whole(text)
    figures.duration_s(text)
    figures.time_s(text)
    figures.memory_bytes(text)
    figures.asked_memory_bytes(text, 2, None)
    figures.exit_and_signal(text)
    figures.tres(text)


def test_every_fact_of_a_job_is_explained() -> None:
    """In the reference, by its key."""
    page = (ROOT / "docs" / "reference" / "job-facts.md").read_text("utf-8")
    said = {fact.key.partition(".")[2] for fact in slurm._FACTS}
    said |= {name for sample in ("22.05", "20.02") for name in facts(told_in_text(sample)[:1])}
    said |= set(Record.__struct_fields__)
    said -= {"job", "cluster", "restart", "user", "steps", "het_component"}
    for name in said | {"script", "script_digest", "n_steps", "steps"}:
        assert f"`slurm.{name}`" in page, name
