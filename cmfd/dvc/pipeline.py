"""What a `dvc.lock` says was run, with what its `dvc.yaml` knows of it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.dvc.files import Out, mapping, mappings, out_of, read_yaml
from cmfd.errors import NotFoundError
from cmfd.model import ArtifactKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LOCK = "dvc.lock"
_DEFAULT_PARAMS = "params.yaml"


class Item(NamedTuple):
    """Content that a stage read or wrote."""

    out: Out
    kind: ArtifactKind
    is_metrics: bool = False
    """Whether the file holds values of metrics."""


class Stage(NamedTuple):
    """A stage as it was run last."""

    name: str
    command: str
    deps: list[Item]
    outs: list[Item]
    params: dict[str, Any]
    digest: str
    """Of all this, as far as it is the same in every clone."""


def stages_of(directory: Path) -> list[Stage]:
    """
    Return the stages of a pipeline that were run.

    Parameters
    ----------
    directory : Path
        It has the `dvc.lock`.

    Raises
    ------
    NotFoundError
        It has none.
    ConfigError, DvcError
        As from `cmfd.dvc.files.read_yaml`.
    """
    lock = directory / LOCK
    if not lock.is_file():
        raise NotFoundError(
            f"{directory} has no {LOCK}: `dvc repro` writes it when it has run a pipeline."
        )
    document = mapping(read_yaml(lock))
    yaml = directory / "dvc.yaml"
    declared = _Declared(mapping(read_yaml(yaml)) if yaml.is_file() else {})
    return [
        _stage(str(lock), str(name), mapping(entry), declared)
        for name, entry in mapping(document.get("stages")).items()
    ]


class _Declared:
    """Which outputs are metrics, plots or models, by `dvc.yaml`."""

    def __init__(self, document: dict[str, Any]) -> None:
        entries = [mapping(entry) for entry in mapping(document.get("stages")).values()]
        entries += [mapping(entry.get("do")) for entry in entries]  # of foreach and matrix
        self.metrics = _paths(document.get("metrics"))
        self.plots = set()
        for entry in entries:
            self.metrics |= _paths(entry.get("metrics"))
            self.plots |= _paths(entry.get("plots"))
        artifacts = map(mapping, mapping(document.get("artifacts")).values())
        self.models = {str(one.get("path")) for one in artifacts if one.get("type") == "model"}

    def item(self, out: Out, path: str) -> Item:
        if path in self.metrics:
            return Item(out, ArtifactKind.METRICS, is_metrics=True)
        if path in self.models:
            return Item(out, ArtifactKind.MODEL)
        return Item(out, ArtifactKind.METRICS if path in self.plots else ArtifactKind.DATASET)


def _paths(entries: Any) -> set[str]:
    """Return the paths of a list like ``[a.json, {b.json: {cache: false}}]``."""
    if not isinstance(entries, list):
        return set()
    return {
        str(name) for entry in entries
        for name in (entry if isinstance(entry, dict) else [entry])
    }  # fmt: skip


def _stage(lock: str, name: str, entry: dict[str, Any], declared: _Declared) -> Stage:
    base = os.path.dirname(lock)  # noqa: PTH120 - paths stay text

    def items(key: str) -> list[Item]:
        found = mappings(entry.get(key))
        return [declared.item(out_of(lock, base, one), str(one.get("path"))) for one in found]

    command = entry.get("cmd")
    lines = command if isinstance(command, list) else [command or ""]
    text = json.dumps(entry, sort_keys=True, default=str)
    return Stage(
        name, "\n".join(map(str, lines)), items("deps"), items("outs"),
        dict(_params(mapping(entry.get("params")))), hashlib.sha256(text.encode()).hexdigest(),
    )  # fmt: skip


def _params(files: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield parameters under the names that DVC shows: without the file if it is the default."""
    for file, values in files.items():
        for key, value in mapping(values).items():
            yield (str(key) if file == _DEFAULT_PARAMS else f"{file}:{key}"), value


def metrics_in(path: Path, suffix: str) -> dict[str, float]:
    """
    Return the numbers that a file of metrics holds, by their dotted names.

    Parameters
    ----------
    path : Path
        The file; what cannot be read has none.
    suffix : str
        Of its name: ``.json``, ``.yaml``, ...
    """
    try:
        if suffix == ".json":
            found = json.loads(path.read_text("utf-8"))
        elif suffix in (".yaml", ".yml"):
            found = read_yaml(path)
        else:
            return {}
    except (OSError, ValueError):
        return {}
    return dict(_numbers(found, ()))


def _numbers(value: Any, names: Iterable[str]) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, (*names, str(key)))
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and names:
        yield ".".join(names), float(value)
