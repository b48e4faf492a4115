"""
What `.dvc` files and `dvc.lock` say.

Only digests of the bytes themselves count (DVC 3, ``hash: md5``): those of DVC 2 are of text whose
line ends were changed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ConfigError, DvcError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


class Out(NamedTuple):
    """Content that one of DVC's files names."""

    file: str
    """Absolute path of the file that says so."""
    path: str
    """Absolute path of the content."""
    md5: str
    """``<hex>`` or ``<hex>.dir``; empty where DVC has no digest of the bytes."""
    size_bytes: int
    n_files: int
    remote: str
    """The remote that it names for this content; mostly none."""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.md5.endswith(".dir")


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """
    Read a YAML file as DVC does: YAML 1.2, data only.

    Raises
    ------
    ConfigError
        The library for it is missing.
    DvcError
        The file cannot be read.
    """
    try:
        from ruamel.yaml import YAML  # noqa: PLC0415 - of the extra "dvc"
        from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(
            "Reading DVC's files needs ruamel.yaml, which comes with DVC: pip install 'cmfd[dvc]'."
        ) from error
    try:
        return YAML(typ="safe", pure=True).load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DvcError(f"cannot read {path}: {error}; nothing was done") from error


def outs_of(file: str) -> Iterator[Out]:
    """
    Yield the content that a `.dvc` file or `dvc.lock` stands for.

    Raises
    ------
    ConfigError, DvcError
        As from `read_yaml`.
    """
    document = mapping(read_yaml(file))
    directory = os.path.dirname(file)  # noqa: PTH120 - paths stay text: names need not be UTF-8
    if "stages" not in document:
        base = os.path.join(directory, str(document.get("wdir") or "."))  # noqa: PTH118 - as above
        for out in mappings(document.get("outs")):
            yield out_of(file, base, out)
        return
    for stage in mapping(document["stages"]).values():
        for out in mappings(mapping(stage).get("outs")):
            yield out_of(file, directory, out)


def out_of(file: str, base: str, entry: dict[str, Any]) -> Out:
    """Read one entry of ``outs`` or ``deps``; `base` is what its path is relative to."""
    md5 = entry.get("md5")
    is_of_bytes = entry.get("hash") == "md5" and isinstance(md5, str) and _MD5.fullmatch(md5)
    path = os.path.normpath(os.path.join(base, str(entry.get("path", ""))))  # noqa: PTH118 - as above
    return Out(
        file, path, str(md5) if is_of_bytes else "", _count(entry.get("size"), -1),
        _count(entry.get("nfiles"), 1), str(entry.get("remote") or ""),
    )  # fmt: skip


def _count(value: Any, default: int) -> int:
    return value if type(value) is int and value >= 0 else default


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping if it is one, else an empty one: files are written by people, too."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """Return what is a mapping of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
