"""A writer in C, made from the written format alone, is understood."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.programs import program

from cmfd.wire import journal as form
from cmfd.wire.messages import Param, ProcessState, decode_record

if TYPE_CHECKING:
    from cmfd.wire.messages import AnyRecord

INSTANCE = "0193e7c0a6007def8fedcba987654321"
RUN = "0193e7c0a5007abc8123456789abcdef"
EXECUTION = "5f0c6e5e1a2b5c3d8e4f00112233445b"
N_VALUES = 5_000  # several blocks of the writer's 64 KiB


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the writer."""
    source = Path(__file__).with_name("journal_writer.c")
    binary = tmp_path_factory.mktemp("c") / "journal_writer"
    flags = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
    subprocess.run([program("cc", "gcc"), *flags, "-o", str(binary), str(source)], check=True)
    return binary


def write(writer: Path, directory: Path, *more: str) -> tuple[list[AnyRecord], list[form.Block]]:
    """Run the writer; return the events and the other blocks of its journal."""
    command = [str(writer), str(directory), INSTANCE, RUN, EXECUTION, str(N_VALUES), *more]
    subprocess.run(command, check=not more)
    header, blocks = form.read_journal(directory / f"{INSTANCE}.cmfj")
    assert header.instance.hex() == INSTANCE
    events = [
        decode_record(item)
        for block in blocks
        if block.kind == form.EVENTS
        for item in form.events(block.data)
    ]
    return events, [block for block in blocks if block.kind != form.EVENTS]


def values(blocks: list[form.Block], kind: int) -> list[tuple[float, ...]]:
    """Return step and values of every complete record of a kind."""
    layout = form.POINT if kind == form.POINTS else form.row_struct(2)
    return [
        layout.unpack(block.units(slot, slot + 1))[1:-2]
        for block in blocks
        if block.kind == kind
        for first, end in block.ranges()
        for slot in range(first, end)
    ]


def test_what_a_c_program_logs_is_read_whole(writer: Path, tmp_path: Path) -> None:
    """Events, points and rows over several blocks, in order and exact."""
    events, blocks = write(writer, tmp_path)

    assert [(e.key, e.value) for e in events if isinstance(e, Param)] == [("count", N_VALUES)]
    assert [e.status for e in events if isinstance(e, ProcessState)] == ["completed"]
    assert values(blocks, form.POINTS) == [(i, 1.0 / (i + 1)) for i in range(N_VALUES)]
    assert values(blocks, form.ROWS) == [(i, i, -i) for i in range(N_VALUES)]


def test_a_c_program_that_is_killed_within_a_record_loses_only_that(
    writer: Path, tmp_path: Path
) -> None:
    """The record that it did not complete is stepped over; nothing else is missing."""
    events, blocks = write(writer, tmp_path, "die")

    assert not [e for e in events if isinstance(e, ProcessState)]
    assert values(blocks, form.POINTS) == [(i, 1.0 / (i + 1)) for i in range(N_VALUES)]
    assert len(values(blocks, form.ROWS)) == N_VALUES


def test_a_c_programs_journal_is_merged_into_a_site(writer: Path, tmp_path: Path) -> None:
    """No daemon, no Python in the job: the journal alone is a complete run."""
    journals, site = tmp_path / "journals", tmp_path / "site"
    journals.mkdir()
    write(writer, journals)

    command = [sys.executable, "-m", "cmfd", "merge", "--site", str(site), str(journals)]
    subprocess.run(command, check=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})

    with closing(sqlite3.connect(site / "index.db")) as index:
        found = index.execute("SELECT name, n_values, last FROM metrics ORDER BY name").fetchall()
        status = index.execute("SELECT run, status FROM runs").fetchall()
    last = N_VALUES - 1
    assert found == [
        ("a", N_VALUES, last),
        ("b", N_VALUES, -last),
        ("loss", N_VALUES, 1 / N_VALUES),
    ]
    assert status == [(RUN, "completed")]


@pytest.mark.slow
def test_a_c_program_under_cmfd_run_is_part_of_its_run(
    writer: Path, tmp_path: Path, new_user: dict[str, str]
) -> None:
    """It never spoke to the daemon, which finds its journal when the run is sealed."""
    site, journals = tmp_path / "site", '"$CMFD_NODE_DIR/journals"'
    program = f'{writer} {journals} {INSTANCE} "$CMFD_RUN" "$CMFD_EXECUTION" {N_VALUES}'
    order = ["run", "--site", str(site), "--pipeline", "c", "--stage", "write"]

    command = [sys.executable, "-m", "cmfd", *order, "--", "sh", "-c", program]
    subprocess.run(command, check=True, env=new_user, cwd=tmp_path)

    with closing(sqlite3.connect(site / "index.db")) as index:
        found = index.execute("SELECT stage, name, n_values FROM metrics ORDER BY name").fetchall()
        executions = index.execute("SELECT stage, status, n_processes FROM executions").fetchall()
    assert found == [("write", name, N_VALUES) for name in ("a", "b", "loss")]
    assert executions == [("write", "completed", 2)]
