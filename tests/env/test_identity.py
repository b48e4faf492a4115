"""Ids: their form, and that all processes of a run derive the same ones."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from cmfd import identity
from cmfd.errors import ConfigError, NotFoundError
from cmfd.identity import run_from, step_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Around = Callable[[str], dict[str, str]]


def test_new_ids_are_version_7_and_ordered_by_time() -> None:
    """RFC 9562; the order within a millisecond holds as well."""
    made = []
    for _ in range(50):
        made.append(identity.uuid7())
        time.sleep(0.00001)
    assert made == sorted(made)
    assert len(set(made)) == 50
    first = uuid.UUID(bytes=made[0])
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    milliseconds = int.from_bytes(made[0][:6], "big")
    assert abs(milliseconds - time.time_ns() // 1_000_000) < 60_000


@pytest.mark.parametrize("name", ["", "slurm/alps/4711/0", "größe", "a\udcff"])
def test_derived_ids_are_those_of_the_standard(name: str) -> None:
    """Any language's UUIDv5 gives the same; names that are no UTF-8 count by their bytes."""
    derived = identity.uuid5(identity.NAMESPACE, name)
    raw = name.encode("utf-8", "surrogateescape")
    if raw == name.encode("utf-8", "replace"):
        assert derived == uuid.uuid5(uuid.UUID(bytes=identity.NAMESPACE), name).bytes
    assert uuid.UUID(bytes=derived).version == 5


def test_ids_derived_today_stay_what_they_are() -> None:
    """Packs of all releases must agree on them: these values never change."""
    run = identity.uuid5(identity.NAMESPACE, "slurm/alps/4711/0")
    assert identity.text(run) == "75ef9d96-1ecb-5173-8dca-b16e01a916a1"
    execution = identity.execution_id(run, "slurm:2", "digits", "train", 0)
    assert identity.text(execution) == "0d2daecb-eded-5988-82e2-3567438c239a"


def test_an_execution_id_depends_on_every_part_of_its_position() -> None:
    """Also on where one part ends and the next one begins."""
    run = identity.uuid7()
    positions = [
        ("", "a", "b", 0),
        ("", "a", "b", 1),
        ("", "ab", "", 0),
        ("a", "", "b", 0),
        ("", "a,1:b", "", 0),
    ]
    assert len({identity.execution_id(run, *position) for position in positions}) == 5
    assert identity.execution_id(identity.uuid7(), *positions[0]) not in {
        identity.execution_id(run, *position) for position in positions
    }


def test_an_id_is_written_and_read_back() -> None:
    """With hyphens, without, in capitals."""
    made = identity.uuid7()
    written = identity.text(made)
    assert written == str(uuid.UUID(bytes=made))
    assert identity.parse(written) == identity.parse(made.hex().upper()) == made
    assert made.hex().startswith(identity.short(made))


def test_a_prefix_gives_the_range_of_ids_that_begin_so() -> None:
    """Odd numbers of digits and hyphens included."""
    made = identity.uuid7()
    low, high = identity.prefix_range(identity.text(made)[:11])
    assert low <= made <= high
    assert low.hex()[:10] == high.hex()[:10] == made.hex()[:10]
    assert identity.prefix_range("f") == (b"\xf0" + bytes(15), b"\xff" * 16)


@pytest.mark.parametrize("written", ["", "xyz", "0" * 33, "-", "0x12", "١٢"])
def test_what_is_no_id_is_not_found(written: str) -> None:
    """With the text in the message."""
    with pytest.raises(NotFoundError, match="no id"):
        identity.prefix_range(written)


def test_a_prefix_is_not_taken_for_an_id() -> None:
    """Where one certain id is needed."""
    with pytest.raises(NotFoundError, match="32 hexadecimal digits"):
        identity.parse("0198")


def test_nothing_names_a_run_in_a_plain_shell(around: Around) -> None:
    """The caller makes one and hands it down; it is inherited from then on."""
    assert run_from(around("shell")) is None
    assert step_from(around("shell")) == ""
    made = identity.new_run()
    assert made.derived_from == "new"
    found = run_from(around("shell") | {"CMFD_RUN": made.run.hex()})
    assert found == made._replace(derived_from="inherited")


def test_an_inherited_run_that_is_none_is_an_error(around: Around) -> None:
    """Naming the variable: nobody sets it by hand."""
    with pytest.raises(ConfigError, match="CMFD_RUN is 'mine', which is no run id"):
        run_from(around("shell") | {"CMFD_RUN": "mine"})


@pytest.mark.parametrize(
    "where",
    [
        "prolog",
        "batch script",
        "srun task",
        "salloc shell",
        "mpirun in sbatch, first node",
        "mpirun in sbatch, other node",
        "het batch script",
        "het component",
        "srun pmix",
        "srun pmi2",
        "torchrun in srun",
    ],
)
def test_everything_in_a_job_belongs_to_the_jobs_run(around: Around, where: str) -> None:
    """The hooks, the script, tasks of srun and ranks of mpirun on every node."""
    found = run_from(around(where))
    assert found is not None
    assert found == run_from(around("batch script"))
    assert found[1:] == ("alps", "4711", 0, "slurm")


def test_each_array_task_and_each_restart_is_a_run(around: Around) -> None:
    """An array task is called A_T; a requeued job keeps its number but not its run."""
    array, again = run_from(around("array task")), run_from(around("requeued"))
    assert array is not None
    assert again is not None
    assert array.job == "4711_3"
    assert (again.job, again.restart) == ("4711", 2)
    assert len({array.run, again.run, (run_from(around("srun task")) or again).run}) == 3


def test_the_last_array_task_has_its_own_run_too(around: Around) -> None:
    """It keeps the number of the whole array as its job id."""
    environ = around("array task") | {"SLURM_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": "9"}
    last, other = run_from(environ), run_from(around("array task"))
    assert last is not None
    assert other is not None
    assert last.job == "4711_9"
    assert last.run != other.run


def test_below_a_wrapper_in_a_job_the_run_is_the_same(around: Around) -> None:
    """What `cmfd run` in the script hands down equals what srun's tasks derive."""
    script = run_from(around("batch script"))
    assert script is not None
    task = run_from(around("srun task") | {"CMFD_RUN": script.run.hex()})
    assert task == script._replace(derived_from="inherited")


def test_a_job_submitted_from_within_a_run_is_a_run_of_its_own(around: Around) -> None:
    """Sbatch hands CMFD_RUN on, but the job is another one."""
    outer = identity.uuid7().hex()
    assert run_from(around("batch script") | {"CMFD_RUN": outer}) == run_from(
        around("batch script")
    )


def test_an_allocation_made_within_a_run_belongs_to_it(around: Around) -> None:
    """`cmfd run -- srun ...` on a login node: the job is part of what was run."""
    outer = identity.uuid7()
    found = run_from(around("salloc shell") | {"CMFD_RUN": outer.hex()})
    assert found is not None
    assert (found.run, found.job, found.derived_from) == (outer, "4711", "inherited")


@pytest.mark.parametrize("launcher", ["mpirun", "prterun", "mvapich", "pals", "flux"])
def test_the_ranks_of_a_launch_on_several_nodes_derive_one_run(
    around: Around, launcher: str
) -> None:
    """Rank, node and what is local to it do not count; another launch is another run."""
    one = around(launcher)
    other = {key: "0" if "RANK" in key or "LOCAL" in key else value for key, value in one.items()}
    other["PMIX_SERVER_URI4"] = "elsewhere"
    found = run_from(one)
    assert found is not None
    assert found.derived_from == "mpi"
    assert found == run_from(other)
    assert step_from(one) == step_from(other)
    assert step_from(one).startswith("mpi:")
    next_launch = {
        key: value.replace("19784", "19785").replace("6760", "6770") + "1" * (key in _LAUNCH_IDS)
        for key, value in one.items()
    }
    assert (run_from(next_launch) or found).run != found.run


_LAUNCH_IDS = ("PALS_APID", "FLUX_JOB_ID", "MPIRUN_ID")


def test_ranks_that_a_rank_spawns_are_of_its_run_but_another_step(around: Around) -> None:
    """Open MPI 5 counts spawns behind the @."""
    parent, child = around("prterun"), around("prterun") | {"PMIX_NAMESPACE": "prterun-vm-6760@2"}
    assert run_from(parent) == run_from(child)
    assert step_from(parent) != step_from(child)


@pytest.mark.parametrize(
    ("where", "step"),
    [
        ("batch script", ""),
        ("srun task", "slurm:2"),
        ("srun pmix", "slurm:2"),
        ("srun pmi2", "slurm:2"),
        ("torchrun in srun", "slurm:2"),
        ("salloc shell", "slurm:interactive"),
    ],
)
def test_a_step_is_what_srun_started(around: Around, where: str, step: str) -> None:
    """However the ranks in it find each other."""
    assert step_from(around(where)) == step


def test_an_mpi_launch_is_one_step_on_every_node_of_a_job(around: Around) -> None:
    """Its helpers are a step of SLURM's on the other nodes, and none on the first one."""
    first = step_from(around("mpirun in sbatch, first node"))
    assert first.startswith("mpi:")
    assert first == step_from(around("mpirun in sbatch, other node"))


PRINT = (
    "import sys; from cmfd import identity as i; r = i.run_from();"
    # One write a line: what ranks write at the same time must not mix.
    r"sys.stdout.write(f'{r.run.hex() if r else None} {i.step_from()}\n')"
)


def ranks_of(*launcher: str) -> list[str]:
    """Return what each rank of a real launch says its run and step are."""
    done = subprocess.run(
        [*launcher, sys.executable, "-c", PRINT], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[:-1]


@pytest.mark.slow
@pytest.mark.mpi
def test_real_launches_of_open_mpi_are_runs_of_their_own() -> None:
    """All ranks of one agree, also behind a shell; two launches differ."""
    mpirun = ("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3")
    first, second = ranks_of(*mpirun), ranks_of(*mpirun, "sh", "-c", '"$0" "$@"; true')
    assert len(first) == len(second) == 3
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]
    assert "None" not in first[0]


LAUNCHER = """#!/bin/sh
export PMI_SIZE=2 MPI_LOCALNRANKS=2
for rank in 0 1; do sh -c '"$0" "$@"; true' env PMI_RANK=$rank "$@" & done
wait
"""


@pytest.mark.slow
def test_a_launch_that_nothing_names_is_known_by_its_launcher(tmp_path: Path) -> None:
    """MPICH sets no id; with all ranks on this node, the process that started them is one."""
    launcher = tmp_path / "mpiexec"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    first, second = ranks_of(str(launcher)), ranks_of(str(launcher))
    assert len(first) == len(second) == 2
    assert len({*first, *second}) == 2
    assert "None" not in first[0]


def test_ranks_on_several_nodes_that_nothing_names_derive_no_run(around: Around) -> None:
    """Then `cmfd run` or a communicator must say; guessing would give each node its own."""
    assert run_from(around("hydra")) is None


def test_workers_of_torchrun_on_one_node_are_known_by_their_agent() -> None:
    """It is a Python by name; its run id is ``none`` unless the user gives one."""
    environ = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    found = run_from(environ)
    assert found is not None
    assert found == run_from(environ | {"RANK": "1"})
    assert found != run_from(environ | {"TORCHELASTIC_RUN_ID": "given"})
    assert run_from(environ | {"LOCAL_WORLD_SIZE": "1"}) is None
