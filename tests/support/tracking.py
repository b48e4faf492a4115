"""What examples/tracking does, and what a site says that it did."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

PIPELINE = Path(__file__).parents[2] / "examples" / "tracking" / "pipeline.sh"

TRAIN = [f"train-{i:03}" for i in range(4)]
TEST = [f"test-{i:03}" for i in range(2)]
SEEN = ["/hits/position", "/hits/layer", "/hits/features"]
TRUE = ["/truth/particle", "/truth/particles"]
REGIONS = {"barrel", "endcap"}


class Done(NamedTuple):
    """One time that a stage ran: the paths that it read and wrote."""

    stage: str
    inputs: frozenset[str]
    outputs: frozenset[str]


def inside(directory: str, events: list[str], names: list[str]) -> set[str]:
    """Return the names of data sets of events."""
    return {f"{directory}/{event}.h5::{name}" for event in events for name in names}


def files(directory: str, events: list[str]) -> set[str]:
    """Return the names of files of events."""
    return {f"{directory}/{event}.npz" for event in events}


def expected(variants: dict[str, str], out: str = "out") -> set[Done]:
    """Return what the pipeline does; `variants`: by name, the first stage that is its own."""
    order = ["preprocess", "embed", "graph", "filter", "tracks", "evaluate"]
    raw = files(f"{out}/raw", TRAIN + TEST)
    done = {Done("generate", frozenset(), frozenset(raw))}
    for variant, first in variants.items():
        own = order[order.index(first) :]
        at = {stage: f"{out}/{variant if stage in own else 'base'}" for stage in order}
        events, graphs = f"{at['preprocess']}/events", f"{at['graph']}/graphs"
        embedding = f"{at['embed']}/embedding/embedding.npz"
        model, tracks = f"{at['filter']}/filter/filter.joblib", f"{at['tracks']}/tracks"
        used = TRAIN[:2] if variant == "few" else TRAIN
        result = f"{at['evaluate']}/evaluation"
        does = {
            "preprocess": (raw, inside(events, TRAIN + TEST, SEEN + TRUE)),
            "embed": (inside(events, used, SEEN + TRUE), {embedding}),
            "graph": (inside(events, TRAIN, SEEN + TRUE) | {embedding}, files(graphs, TRAIN)),
            "filter": (files(graphs, TRAIN), {model}),
            "tracks": (inside(events, TEST, SEEN) | {embedding, model}, files(tracks, TEST)),
            "evaluate": (
                inside(events, TEST, TRUE) | files(tracks, TEST) | REGIONS,
                {f"{result}/metrics.json", f"{result}/efficiency.svg"},
            ),
        }
        for stage in own:
            done.add(Done(stage, *map(frozenset, does[stage])))
    return done


def recorded(index: Path) -> tuple[set[Done], dict[str, set[str]]]:
    """Return what a site's index has of the pipeline, and the digests that each path had."""
    query = """
        SELECT e.id, e.stage, v.direction, v.path, a.digest
        FROM execution AS e
        LEFT JOIN event AS v ON v.execution_id = e.id
        LEFT JOIN artifact AS a ON a.id = v.artifact_id
        WHERE e.pipeline = 'tracking' AND e.stage <> 'job'
    """
    stages: dict[int, str] = {}
    sides: dict[tuple[int, str], set[str]] = defaultdict(set)
    digests: dict[str, set[str]] = defaultdict(set)
    connection = sqlite3.connect(f"file:{index}?mode=ro", uri=True)
    for execution, stage, direction, path, digest in connection.execute(query):
        stages[execution] = stage
        if path is not None:
            sides[execution, direction].add(path)
            digests[path].add(digest)
    connection.close()
    found = {
        Done(stage, frozenset(sides[number, "input"]), frozenset(sides[number, "output"]))
        for number, stage in stages.items()
    }
    assert len(found) == len(stages), "each stage ran once with the same inputs and outputs"
    return found, digests
