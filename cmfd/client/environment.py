"""
Where and with what an execution runs, as one JSON document.

All of it is read off the caller's path, once per execution. Each section stands alone: one that
cannot be read becomes ``{"problem": why}`` and costs the others nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from cmfd.client.deadline import Deadline
from cmfd.client.git import GitError, describe_code
from cmfd.client.redact import is_secret_name, is_secret_value, scrub_argv
from cmfd.forks import no_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PATIENCE_S = 20.0
"""How long all of it may take while the program runs."""

VALUE_CHARACTERS = 8192
"""Longer variables and arguments are cut there."""

SECTION_CHARACTERS = 1 << 17
"""A section whose JSON is longer is left out."""

_SCRIPT_SUFFIXES = (".py", ".ipynb", ".sh", ".bash", ".R", ".r", ".jl", ".pl", ".lua", ".m")


def capture(
    cwd: str,
    argv: Sequence[str],
    allow: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    deadline: Deadline | None = None,
) -> dict[str, Any]:
    """
    Describe where and with what this process runs.

    Parameters
    ----------
    cwd : str
        Its working directory.
    argv : sequence of str
        Its command line; secrets in it are masked.
    allow : sequence of str
        Names of variables to record, as shell patterns. Whatever looks like a secret by its name
        or value is left out nevertheless.
    environ : mapping
        Environment variables.
    deadline : Deadline, optional
        What is not known by then is left out. Default: in `PATIENCE_S`.

    Returns
    -------
    dict
        Sections ``command``, ``code``, ``python``, ``packages`` (name to version), ``modules``,
        ``container``, ``host``, ``variables``; of JSON types only. A section that does not apply
        is empty.
    """
    deadline = deadline or Deadline(PATIENCE_S)
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "command": lambda: _command(cwd, argv),
        "python": _python,
        "packages": lambda: dict(_packages(deadline)),
        "modules": lambda: _modules(environ),
        "container": lambda: _container(environ),
        "host": _host,
        "variables": lambda: _variables(environ, allow),
        "code": lambda: code_of(cwd, argv, deadline),  # last: git may take all the time there is
    }
    return {name: _bounded(section) for name, section in sections.items()}


def _bounded(section: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a section, or what kept it from being read."""
    with no_fork():
        import json  # noqa: PLC0415 - keeps `import cmfd` short

    try:
        found = section()
    except (OSError, ValueError, LookupError, GitError) as error:
        return {"problem": f"{type(error).__name__}: {error}"}
    characters = len(json.dumps(found))
    if characters > SECTION_CHARACTERS:
        return {"problem": f"left out: {characters} characters, {SECTION_CHARACTERS} at most"}
    return found


def _command(cwd: str, argv: Sequence[str]) -> dict[str, Any]:
    return {"argv": [_cut(argument) for argument in scrub_argv(argv)], "cwd": _clean(cwd)}


def _cut(text: str) -> str:
    """Shorten a text that is no use as a whole."""
    text = _clean(text)
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"


def _clean(text: str) -> str:
    """Make a text from the system fit for JSON: bytes that are no UTF-8 become visible."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def code_of(cwd: str, argv: Sequence[str], deadline: Deadline) -> dict[str, Any]:
    """Describe the repository that the program lies in, else that of the working directory."""
    found: dict[str, Any] = {}
    for argument in argv:
        path = os.path.join(cwd, argument)  # noqa: PTH118 - pathlib costs import time
        if _is_program(path):
            found = describe_code(os.path.dirname(os.path.realpath(path)), deadline)  # noqa: PTH120 - as above
            break
    return found or describe_code(cwd, deadline)


def _is_program(path: str) -> bool:
    """Tell whether an argument names what runs, not the interpreter or the data."""
    return path.endswith(_SCRIPT_SUFFIXES) and os.path.isfile(path)  # noqa: PTH113 - as above


def _python() -> dict[str, Any]:
    return {
        "version": ".".join(map(str, sys.version_info[:3])),
        "implementation": sys.implementation.name,
        "executable": _clean(sys.executable or ""),
        "prefix": _clean(sys.prefix),
        "base_prefix": _clean(sys.base_prefix),
    }


def _packages(deadline: Deadline) -> list[tuple[str, str]]:
    """Return the names and versions of what can be imported, the first of a name as Python does."""
    with no_fork():
        from importlib.metadata import distributions  # noqa: PLC0415 - keeps `import cmfd` short

    found: dict[str, str] = {}
    for distribution in distributions():
        if not deadline.left_s():
            raise TimeoutError("reading what is installed takes too long")
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        # Not by the email parser: it takes most of the time, with the interpreter to itself.
        head = dict(line.split(": ", 1) for line in _head(text) if ": " in line)
        if "Name" in head:
            found.setdefault(head["Name"], head.get("Version", ""))
    return sorted(found.items())


def _head(text: str) -> list[str]:
    """Return the lines before the first empty one."""
    return text.partition("\n\n")[0].splitlines()


def _modules(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what environment modules, conda and virtual environments have set up."""
    lists = {"loaded": "LOADEDMODULES", "files": "_LMFILES_"}
    names = {
        "conda": "CONDA_DEFAULT_ENV",
        "conda_prefix": "CONDA_PREFIX",
        "virtual_env": "VIRTUAL_ENV",
        "spack_env": "SPACK_ENV",
    }
    found: dict[str, Any] = {
        key: _clean(environ[name]).split(":") for key, name in lists.items() if environ.get(name)
    }
    return found | {key: _clean(environ[name]) for key, name in names.items() if environ.get(name)}


_CONTAINERS = (
    ("apptainer", "APPTAINER_CONTAINER"),
    ("singularity", "SINGULARITY_CONTAINER"),
    ("shifter", "SHIFTER_IMAGEREQUEST"),
    ("charliecloud", "CH_RUNNING"),
    ("slurm", "SLURM_CONTAINER"),
)


def _container(environ: Mapping[str, str]) -> dict[str, Any]:
    """Tell which container this process runs in, if any, and from which image as far as known."""
    for runtime, variable in _CONTAINERS:
        if image := environ.get(variable):
            return {"runtime": runtime, "image": _clean(image)}
    if said := dict(_assignments("/run/.containerenv")):
        return {"runtime": said.get("engine", "podman"), "image": said.get("image", "")}
    if os.path.exists("/run/.containerenv"):  # noqa: PTH110 - as above
        return {"runtime": "podman"}
    return {"runtime": "docker"} if os.path.exists("/.dockerenv") else {}  # noqa: PTH110 - as above


def _host() -> dict[str, Any]:
    """Return what this node is; the frequency and load of its parts are not its identity."""
    system = os.uname()
    return {
        "name": system.nodename,
        "kernel": system.release,
        "machine": system.machine,
        "system": dict(_assignments("/etc/os-release")).get("PRETTY_NAME", ""),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "cpus_usable": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "gpus": _gpus(),
    }


def _gpus() -> list[str]:
    """Return the models of the NVIDIA GPUs that the driver shows here."""
    base = "/proc/driver/nvidia/gpus"
    try:
        buses = sorted(os.listdir(base))  # noqa: PTH208 - as above
    except FileNotFoundError:
        return []
    return [_field(f"{base}/{bus}/information", "Model") for bus in buses]


def _field(path: str, name: str) -> str:
    """Return the first value of a field in a /proc file of ``name : value`` lines."""
    for line in _lines(path):
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _assignments(path: str) -> list[tuple[str, str]]:
    """Return the ``name="value"`` lines of a file."""
    pairs = (line.partition("=") for line in _lines(path))
    return [(key.strip(), value.strip().strip('"')) for key, equals, value in pairs if equals]


def _lines(path: str) -> list[str]:
    """Return a file's lines; none where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            return file.readlines()
    except FileNotFoundError:
        return []


def _variables(environ: Mapping[str, str], allow: Sequence[str]) -> dict[str, Any]:
    """Return the variables that are allowed and no secrets, sorted by name."""
    with no_fork():
        from fnmatch import fnmatchcase  # noqa: PLC0415 - keeps `import cmfd` short

    return {
        _clean(name): _cut(environ[name])
        for name in sorted(environ)
        if any(fnmatchcase(name, pattern) for pattern in allow)
        and not is_secret_name(name)
        and not is_secret_value(environ[name])
    }
