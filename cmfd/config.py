"""
Settings, the default site and the node directory: what cmfd takes from its surroundings.

A setting's value is the last of: its default, `/etc/cmfd/cmfd.toml`, the user's
`cmfd/cmfd.toml` under ``$XDG_CONFIG_HOME`` (else `~/.config`), the file
``$CMFD_CONFIG`` names, the variable ``CMFD_<KEY>``. A file's keys stand at its top level.
"""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cmfd.errors import ConfigError
from cmfd.settings import ENV_ALLOW, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ENV_ALLOW", "SITE_DIRECTORY", "SYSTEM_FILE", "SettingDescription", "Settings",
    "describe_settings", "ensure_node_dir", "find_site", "load", "load_usable", "user_directory",
    "variable_of",
]  # fmt: skip

SYSTEM_FILE = Path("/etc/cmfd/cmfd.toml")
SITE_DIRECTORY = ".cmfd"
"""A directory of this name, in the working directory or above it, is the default site."""

_OF_THE_SERVICE = ("system", "node_dir", "journal_dir")
_LISTS = frozenset(
    ("env_allow", "system_readers", "energy_sources", "energy_disabled", "energy_ipmi_command")
)


class SettingDescription(NamedTuple):
    """One row of the reference of settings."""

    key: str
    variable: str
    type: str
    default: str
    meaning: str


def describe_settings() -> list[SettingDescription]:
    """
    Describe every setting, in the order of `Settings`, for the reference documents.

    Returns
    -------
    list of SettingDescription
        Key, variable, type with its bounds, default and meaning, as text.
    """
    import json  # noqa: PLC0415 - not for ranks: only documents and `doctor` ask

    schema = msgspec.json.schema(Settings, schema_hook=lambda _path: {"type": "path"})
    properties = schema["$defs"]["Settings"]["properties"]
    defaults = {
        "node_dir": "/var/tmp/cmfd-<uid>",  # noqa: S108 - text
        "journal_dir": "<node_dir>/journals",
        "system_site": "none",
        "energy_sysfs": "/sys",
    }
    return [
        SettingDescription(
            key,
            variable_of(key),
            _type_text(item),
            defaults.get(key) or json.dumps(item["default"]),
            item["description"],
        )
        for key, item in properties.items()
    ]


def _type_text(item: dict[str, Any]) -> str:
    """Say a setting's type and bounds in words."""
    bounds = {
        "minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "multipleOf": "multiple of"
    }  # fmt: skip
    said = [f"{word} {item[key]}" for key, word in bounds.items() if key in item]
    name = {"array": "list of strings"}.get(item["type"], item["type"])
    return ", ".join([name, *said])


def variable_of(key: str) -> str:
    """Return the environment variable that sets `key`."""
    return f"CMFD_{key.upper()}"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """
    Gather the settings from the configuration files and the environment.

    Parameters
    ----------
    environ : mapping
        Environment variables; those of other programs, and ``CMFD_`` variables that are no
        settings (a run hands some down), are passed over.

    Returns
    -------
    Settings
        Checked: directories are absolute and numbers within their bounds.

    Raises
    ------
    ConfigError
        A file cannot be read, or a key or value in it or in a variable is none that can be used.
    """
    settings, wrong = load_usable(environ)
    if wrong:
        raise wrong[0]
    return settings


def load_usable(
    environ: Mapping[str, str] = os.environ,
) -> tuple[Settings, list[ConfigError]]:
    """
    Gather the settings as `load` does, but pass over what cannot be used.

    For processes that must go on: one wrong value must not undo the others, which may say where
    the node directory is.

    Returns
    -------
    settings : Settings
        Of all that can be used.
    wrong : list of ConfigError
        What was passed over.
    """
    chosen: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    wrong: list[ConfigError] = []

    def choose(key: str, value: object, where: str, *, strict: bool) -> None:
        try:
            chosen[key] = _checked(key, value, where, strict=strict)
        except ConfigError as error:
            wrong.append(error)

    for path, required in _files(environ):
        try:
            found = _read_toml(path, required=required)
        except ConfigError as error:
            wrong.append(error)
            continue
        for key, value in found.items():
            choose(key, value, f"{key} in {path}", strict=True)
        if path == SYSTEM_FILE:
            ours = {key: chosen[key] for key in _OF_THE_SERVICE if key in chosen}
    for key in Settings.__struct_fields__:
        variable = variable_of(key)
        if text := environ.get(variable):
            choose(key, _split(text) if key in _LISTS else text, variable, strict=False)
    if ours.get("system") and not chosen["system"]:  # who wants no service, wants not its place
        chosen = {key: value for key, value in chosen.items() if ours.get(key) != value}
    return Settings(**chosen), wrong


def _files(environ: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    """Yield the configuration files, weakest first, and whether each must exist."""
    yield SYSTEM_FILE, False
    if home := user_directory(environ):
        yield home / "cmfd.toml", False
    if named := environ.get("CMFD_CONFIG"):
        yield Path(named), True


def user_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """
    Return where this user's files for cmfd are, such as `cmfd.toml`; None without a home directory.

    Parameters
    ----------
    environ : mapping
        Environment variables.
    """
    home = _xdg(environ, "XDG_CONFIG_HOME", ".config")
    return None if home is None else home / "cmfd"


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Return a base directory of the XDG specification; none without a home directory."""
    named = environ.get(variable, "")
    if named.startswith("/"):  # the specification: relative ones are to be ignored
        return Path(named)
    home = environ.get("HOME", "")
    return Path(home, below_home) if home.startswith("/") else None


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    """Return a file's settings; none when it does not exist and need not."""
    try:
        found: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise ConfigError(f"CMFD_CONFIG names {path}, which does not exist.") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}. Correct or remove it.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}. Correct or remove it.") from error
    return found


def _split(text: str) -> list[str]:
    """Split a list as a variable holds it: by commas or blanks."""
    return text.replace(",", " ").split()


@cache
def _types() -> dict[str, Any]:
    """Return each setting's type with its bounds; 1 ms, paid only where something is set."""
    return {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _checked(key: str, value: object, where: str, *, strict: bool) -> Any:
    """Return `value` as the type of setting `key`; `where` names it in an error."""
    kind = _types().get(key)
    if kind is None:
        known = ", ".join(Settings.__struct_fields__)
        raise ConfigError(f"{where} is no setting of cmfd. There are: {known}.")
    try:
        return msgspec.convert(value, kind, strict=strict, dec_hook=_directory)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where} is {value!r}: {error}.") from error


def _directory(kind: type, value: object) -> Path:
    """Read a path setting, which must not depend on where a process happens to run."""
    if not isinstance(value, str):
        raise TypeError(f"expected {kind.__name__.lower()} as text")
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:  # in a container, a user may have no home
        raise ValueError(f"expected an absolute path ({error})") from error
    if not path.is_absolute():
        raise ValueError("expected an absolute path (`~` is understood)")
    return path


def find_site(cwd: str | Path, environ: Mapping[str, str] = os.environ) -> Path:
    """
    Find the site repository that runs started in `cwd` belong to.

    It is the nearest `.cmfd` directory in `cwd` or above it, as git finds `.git`; else
    ``$CMFD_SITE``; else, on a machine whose service publishes for all users, this user's site
    there; else `cmfd` under ``$XDG_DATA_HOME`` or `~/.local/share`. A `.cmfd` of somebody else
    in a directory where anyone may create one (as /tmp) is passed over.

    Parameters
    ----------
    cwd : str or Path
        Where to begin.
    environ : mapping
        Environment variables.

    Returns
    -------
    Path
        Absolute; it need not exist yet.

    Raises
    ------
    ConfigError
        There is none, and neither a variable nor a home directory says where to make one.
    """
    start = Path(os.path.abspath(cwd))  # noqa: PTH100 - not resolved: git goes up as the shell shows it
    for directory in (start, *start.parents):
        if _is_site(directory / SITE_DIRECTORY):
            return directory / SITE_DIRECTORY
    if named := environ.get("CMFD_SITE"):
        return Path(os.path.abspath(start / named))  # noqa: PTH100 - as above
    if served := _service_site(environ):
        return served
    if data := _xdg(environ, "XDG_DATA_HOME", ".local/share"):
        return data / "cmfd"
    raise ConfigError(
        "No site to keep runs in: no .cmfd directory here or above, and neither CMFD_SITE, "
        "XDG_DATA_HOME nor HOME is set. Run `cmfd site init` here, or set CMFD_SITE."
    )


def _service_site(environ: Mapping[str, str]) -> Path | None:
    """Return where a service for all users publishes what is this user's, if there is one."""
    settings, _ = load_usable(environ)
    if not settings.system or settings.system_site == Path():
        return None
    from cmfd.service import own_site  # noqa: PLC0415 - most machines have no such service

    return own_site(settings.system_site, environ)


def _is_site(path: Path) -> bool:
    """Tell whether `path` is a directory that did not get there by just anyone."""
    try:
        own, above = path.stat(), path.parent.stat()
    except OSError:
        return False
    planted = own.st_uid != os.getuid() and above.st_mode & stat.S_IWOTH
    return stat.S_ISDIR(own.st_mode) and not planted


def ensure_node_dir(path: Path) -> None:
    """
    Create the node directory, or make sure that the one there is this user's alone.

    Parameters
    ----------
    path : Path
        The directory; made with mode 0700, or set to it when others could read it.

    Raises
    ------
    ConfigError
        It cannot be created, is a link or no directory, belongs to somebody else, or others
        could have written to it. Nothing is changed then.
    """
    advice = "Set CMFD_NODE_DIR to a directory of your own on node-local disk."
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if reason := _unsafe(found):
            raise ConfigError(f"The node directory {path} {reason}. {advice}")
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"The node directory {path} cannot be made: {error}. {advice}") from error


def _unsafe(found: os.stat_result) -> str:
    """Say why a node directory found so cannot be trusted, or nothing."""
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory but a link or file"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to you ({os.geteuid()})"
    if found.st_mode & 0o022:
        return f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""
