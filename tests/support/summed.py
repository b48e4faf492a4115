"""What a site's sums must be, said without SQL: to compare with those that it has."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from support.packs import an_id

from cmfd.store.energy import NOBODY, EnergyRow

if TYPE_CHECKING:
    import random
    import sqlite3

    from support.packs import Content, Row

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000
T0_NS = 19_000 * DAY_NS
TABLES = (
    "run_sum", "execution_sum", "execution_host", "energy_day", "energy_hour", "run_energy",
    "run_reading", "run_hour", "energy_month",
)  # fmt: skip
FACTS = ("slurm.account", "slurm.state", "slurm.cpus", "slurm.elapsed_s", "project", "other")
_BORDERS = (T0_NS, T0_NS + HOUR_NS, T0_NS + 23 * HOUR_NS, T0_NS + DAY_NS)


def busy_content(rng: random.Random, n_rows: int) -> Content:
    """Return rows of few runs that sums depend on, many of which contradict each other."""
    rows: dict[str, dict[Row, Row]] = defaultdict(dict)
    for _ in range(n_rows):
        table, n_keys, row = rng.choice((_run, _execution, _process, _state, _end, _fact, _energy))(
            rng
        )
        rows[table][row[:n_keys]] = row
    return {table: list(by_key.values()) for table, by_key in rows.items()}


def _run(rng: random.Random) -> tuple[str, int, Row]:
    return "run", 1, (_id(rng, "run"), *_said(rng), 1000, "c", "1", 0, "ann", "", "true", "/")


def _execution(rng: random.Random) -> tuple[str, int, Row]:
    parent = rng.choice((None, _id(rng, "exec")))
    return "execution", 1, (_id(rng, "exec"), *_said(rng), _id(rng, "run"), parent, "p", "s", "0")


def _process(rng: random.Random) -> tuple[str, int, Row]:
    role = rng.choice(("rank", "rank", "wrapper", "worker"))
    return "process", 2, (
        _id(rng, "exec"), _id(rng, "proc"), *_said(rng), rng.randrange(3), 2, 0,
        rng.choice(("n1", "n2")), 7, role,
    )  # fmt: skip


def _state(rng: random.Random) -> tuple[str, int, Row]:
    return "process_state", 2, (
        _id(rng, "exec"), _id(rng, "proc"), *_said(rng), "completed", 0, None, rng.randrange(100),
        rng.choice((0, 3, 2**62)), 0, 0,
    )  # fmt: skip


def _end(rng: random.Random) -> tuple[str, int, Row]:
    return "execution_end", 1, (_id(rng, "exec"), *_said(rng), "completed", 0, None)


def _fact(rng: random.Random) -> tuple[str, int, Row]:
    kind, value = rng.choice((("str", "a"), ("str", "b"), ("int", 3), ("int", 64)))
    subject = _id(rng, rng.choice(("run", "exec")))
    return "fact", 2, (subject, rng.choice(FACTS), *_said(rng), kind, value)


def _energy(rng: random.Random) -> tuple[str, int, Row]:
    owner = rng.choice(("run", "run", "run", "idle"))
    dur_ns = rng.choice((0, 1, 7, 60_000_000_000, HOUR_NS, HOUR_NS + 5, 3 * HOUR_NS))
    uj = rng.choice((0, 1, 10, 999_999_999_999_999, 10**15))
    row = EnergyRow(
        rng.choice(_BORDERS) - rng.choice((0, 1, 3, 30_000_000_001)), rng.choice(("n1", "n2")),
        an_id("boot", 0), owner, _id(rng, "run") if owner == "run" else NOBODY,
        rng.choice((NOBODY, _id(rng, "exec"))) if owner == "run" else NOBODY,
        rng.choice(("cpu", "dram")), "", "rapl", rng.choice(("count", "count", "check")), dur_ns,
        rng.randrange(2), uj, uj // 3, 0, rng.choice((0, dur_ns)), rng.choice("AB"),
        rng.choice(("rank_pids", "exclusive")), 0, an_id("proc", 0),
    )  # fmt: skip
    return "energy", 10, tuple(row)


def _id(rng: random.Random, kind: str) -> bytes:
    return an_id(kind, rng.randrange(3))


def _said(rng: random.Random) -> tuple[int, bytes]:
    return rng.randrange(5), an_id("proc", rng.randrange(2))


def stored(db: sqlite3.Connection) -> dict[str, set[Any]]:
    """Return the sums that an index has."""
    return {name: set(db.execute(f"SELECT * FROM {name}")) for name in TABLES}


def summed(db: sqlite3.Connection) -> dict[str, set[Any]]:
    """Return the sums that the rows of an index mean."""
    executions = _of_executions(db)
    energy = _of_energy(db)
    return {**executions, **energy, "run_sum": _of_runs(db, executions)}


def _of_executions(db: sqlite3.Connection) -> dict[str, set[Any]]:
    states = {row[:2]: row for row in db.execute("SELECT * FROM process_state")}
    hosts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    ranks: dict[Any, list[list[int]]] = defaultdict(lambda: [[], []])
    heard: dict[int, list[int]] = defaultdict(list)
    for execution, instance, _, _, rank, _, _, host, _, role in db.execute("SELECT * FROM process"):
        state = states.get((execution, instance))
        cpu_ns = state[7] + state[8] if state else 0
        ranks[execution, rank][role != "wrapper"].append(cpu_ns)
        hosts[execution, host][role != "wrapper"] += cpu_ns
        if state:
            heard[execution].append(state[2])
    loads: dict[int, list[int]] = defaultdict(list)
    for (execution, _), (wrappers, others) in ranks.items():
        loads[execution].append(_held(sum(others or wrappers)))
    alone: dict[int, int] = defaultdict(int)
    for (execution, _), pair in hosts.items():
        alone[execution] += max(pair)
    return {
        "execution_host": {(*key, *map(_held, pair)) for key, pair in hosts.items()},
        "execution_sum": {
            (
                one, len(busy), _held(sum(busy)), max(busy), max(heard[one], default=None),
                _held(alone[one]),
            )
            for one, busy in loads.items()
        },
    }  # fmt: skip


def _of_runs(db: sqlite3.Connection, executions: dict[str, set[Any]]) -> set[Any]:
    facts = {(row[0], row[1]): row[2] for row in db.execute("SELECT subject, key, value FROM fact")}
    loads = {row[0]: row for row in executions["execution_sum"]}
    ends = dict(db.execute("SELECT execution_id, at_ns FROM execution_end"))
    outer = dict(db.execute("SELECT execution_id, outer_id FROM nesting"))
    parts: dict[int, dict[int, bytes]] = defaultdict(dict)
    for number, run_id, name in db.execute(
        "SELECT id, run_id, execution FROM execution WHERE run_id IS NOT NULL"
    ):
        parts[run_id][number] = name
    found: set[Any] = set()
    for run_id, run in db.execute("SELECT id, run FROM run"):
        mine = parts[run_id]
        if not mine and not any(subject == run for subject, _ in facts):
            continue

        def fact(key: str, run: bytes = run) -> Any:
            return facts.get((run, key))

        def number(key: str) -> Any:
            value = fact(key)
            return value if value is None or isinstance(value, int) else 0

        project = fact("project")
        if project is None:
            said = [facts[name, "project"] for name in mine.values() if (name, "project") in facts]
            project = min(map(str, said), default="")
        ended = [ends.get(one, loads[one][4] if one in loads else None) for one in mine]
        known = [loads[one] for one in mine if one in loads]
        uneven = [load[3] / (load[2] / load[1]) for load in known if load[1] > 1 and load[2]]
        found.add(
            (
                run_id, str(fact("slurm.account") or ""), "", str(project),
                None if fact("slurm.state") is None else str(fact("slurm.state")), None,
                number("slurm.elapsed_s"), None, number("slurm.cpus"), None, None, None, None,
                len(mine), max((load[1] for load in known), default=0),
                _cpu_ns(mine, outer, executions["execution_host"]),
                max((one for one in ended if one is not None), default=None),
                max(uneven, default=None),
            )
        )  # fmt: skip
    return found


def _cpu_ns(mine: dict[int, bytes], outer: dict[int, int], hosts: set[Any]) -> int:
    """Return CPU time, of each tree of executions on each host the larger reading."""

    def top(one: int) -> int:
        seen = [one]
        while (parent := outer.get(seen[-1])) in mine:
            if parent in seen:
                return one  # a circle, which has no outermost
            seen.append(parent)
        return seen[-1]

    trees: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for execution, host, wrapper_ns, other_ns in hosts:
        if execution in mine:
            trees[top(execution), host][0] += wrapper_ns
            trees[top(execution), host][1] += other_ns
    return _held(sum(max(pair) for pair in trees.values()))


def _of_energy(db: sqlite3.Connection) -> dict[str, set[Any]]:
    meters = {row[0]: row for row in db.execute("SELECT * FROM meter")}
    days: dict[Any, list[Any]] = defaultdict(list)
    hours: dict[Any, int] = defaultdict(int)
    runs: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    columns = "run_id, meter_id, owner, execution_id, t0_ns, grade, method, uj, static_uj, dur_ns"
    for row in db.execute(f"SELECT {columns}, covered_ns FROM energy"):
        run_id, meter_id, owner, execution, t0_ns, grade, method, uj, static_uj, dur_ns, _ = row
        days[run_id, meter_id, owner, execution, t0_ns // DAY_NS, grade, method].append(row)
        _, node, _, component, _, source, role = meters[meter_id]
        if role != "count" or owner != "run":
            continue
        for began_ns, length_ns, part_uj in cells(t0_ns, dur_ns, uj):
            day = t0_ns // DAY_NS
            hours[run_id, node, execution, day, began_ns, length_ns, grade] += part_uj
        one = runs[run_id, execution, component, source, grade, method]
        for column, value in enumerate((uj, static_uj, dur_ns, row[10])):
            one[column] += value
    by_day = {
        (
            *key, _sum(rows, 7), _sum(rows, 8), _sum(rows, 9), _sum(rows, 10),
            min(row[4] for row in rows), max(row[4] + row[9] for row in rows),
        )
        for key, rows in days.items()
    }  # fmt: skip
    return {
        "energy_day": by_day,
        "energy_hour": {(*key, uj) for key, uj in hours.items()},
        "run_energy": {(*key, *pair) for key, pair in runs.items()},
        "run_hour": _on_all_nodes(hours),
        "energy_month": _months(by_day),
        "run_reading": _readings(by_day, meters),
    }


def _on_all_nodes(hours: dict[Any, int]) -> set[Any]:
    found: dict[Any, int] = defaultdict(int)
    for (run_id, _, execution, _, began_ns, dur_ns, grade), uj in hours.items():
        found[run_id, execution, grade, began_ns, dur_ns] += uj
    return {(*key, uj) for key, uj in found.items()}


def _months(days: set[Any]) -> set[Any]:
    """Return what no run was given, of 32 days each."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in days:
        run_id, meter_id, owner, execution, day, grade, method = row[:7]
        if run_id == 0 and owner in ("idle", "system"):
            found[meter_id, owner, execution, day // 32, grade, method].append(row)
    return {
        (
            *key, _sum(rows, 7), _sum(rows, 8),
            min(row[11] for row in rows), max(row[12] for row in rows),
        )
        for key, rows in found.items()
    }  # fmt: skip


def cells(t0_ns: int, dur_ns: int, uj: int) -> list[tuple[int, int, int]]:
    """Return the hours of a row, with its energy in each; a row over many is itself."""
    hour_ns = t0_ns // HOUR_NS * HOUR_NS
    first_ns = hour_ns + HOUR_NS - t0_ns
    if dur_ns <= first_ns:
        return [(hour_ns, HOUR_NS, uj)]
    if dur_ns > first_ns + HOUR_NS:
        return [(t0_ns, dur_ns, uj)]
    first_uj = uj * first_ns // dur_ns
    return [(hour_ns, HOUR_NS, first_uj), (hour_ns + HOUR_NS, HOUR_NS, uj - first_uj)]


def _readings(days: set[Any], meters: dict[int, Any]) -> set[Any]:
    of_meters: dict[Any, list[Any]] = defaultdict(list)
    for row in days:
        if row[2] == "run" and meters[row[1]][6] == "count":
            of_meters[row[0], row[1]].append(row)
    found: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (run_id, meter_id), rows in of_meters.items():
        dur_ns, covered_ns = (sum(row[column] for row in rows) for column in (9, 10))
        there_ns, at_ns = 0, 0
        for first_ns, end_ns in sorted(row[11:13] for row in rows):
            there_ns += max(end_ns - max(first_ns, at_ns), 0)
            at_ns = max(at_ns, end_ns)
        there_ns = min(there_ns, dur_ns)
        one = found[run_id, meters[meter_id][1], meters[meter_id][3]]
        one[0] += 1
        one[1] += there_ns
        one[2] += int(float(covered_ns) * there_ns / dur_ns) if dur_ns else 0
    return {(*key, *one) for key, one in found.items()}


def _sum(rows: list[Any], column: int) -> int:
    return sum(row[column] for row in rows)


def _held(number: int) -> int:
    """Return a number as an index holds one that may be too large: see sums.sql."""
    return min(int(float(number)), 2**63 - 1)
