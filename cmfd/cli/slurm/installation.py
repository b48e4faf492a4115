"""
What a cluster's set-up consists of: files, where they go, and how one's own changes are kept.

The files are those of the directory `slurm/` of the sources, and the settings. Beside the settings,
``installed`` has the SHA-256 of each file as it was written (`sha256sum -c` reads it): what is
different on disk somebody has changed, and it is left as it is.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import shlex
import sys
from contextlib import suppress
from importlib.metadata import files as files_of
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cmfd
from cmfd.cli.slurm.settings_file import settings_file
from cmfd.config import SYSTEM_FILE
from cmfd.daemon.sites import fixed_part
from cmfd.errors import ConfigError, NotFoundError
from cmfd.service import FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_SUFFIX = ".new"
"""Added to the name of what was not written because the file there was changed."""

COMMAND = Path(sys.executable).with_name("cmfd")
"""The program that units start."""

_PLAIN = re.compile(r"[\w./{}@%+=:-]+", re.ASCII)
"""What unit files, tmpfiles.d and slurm.conf all take as it is."""


class Choices(NamedTuple):
    """What the operator chooses."""

    site: Path
    """Where all is published; ``{user}``, ``{uid}``, ``{account}``, ``{cluster}`` are filled in."""
    prefix: Path = Path("/")
    node_dir: Path = Path("/var/lib/cmfd")
    controller_dir: Path = Path("/var/lib/cmfd-slurmctld")
    user: str = "cmfd"
    uid: int | None = None
    """The same on all machines, because the site is; None: as each machine finds one."""
    slurm_user: str = "slurm"

    @property
    def settings(self) -> Path:
        """Return where the settings go."""
        return self.prefix / SYSTEM_FILE.relative_to("/")

    @property
    def queue(self) -> Path:
        """Return where jobs wait that have ended: beside what differs from site to site."""
        return fixed_part(self.site) / "queue"

    @property
    def elsewhere(self) -> Path | None:
        """Return where the settings are, if that is not where they are looked for anyway."""
        return None if self.settings == SYSTEM_FILE else self.settings


class File(NamedTuple):
    """A file of the set-up."""

    path: Path
    text: str
    mode: int = 0o644


class Step(NamedTuple):
    """What is to be done about a file."""

    action: str
    """``write``, ``replace``, ``same``; ``keep``: it was changed, and the new one goes beside."""
    file: File
    before: str = ""


def all_files(choices: Choices) -> list[File]:
    """
    Return the files of a set-up, as they should be.

    Raises
    ------
    ConfigError
        Something among the choices cannot be what was meant; nothing was written.
    """
    _check(choices)
    etc = choices.prefix / "etc"
    hooks = choices.settings.parent / "hooks"
    source = _source()
    return [
        File(choices.settings, settings_file(choices.site, choices.node_dir)),
        *(
            File(hooks / path.name, path.read_text("utf-8"), 0o644 if path.suffix else 0o755)
            for path in sorted((source / "hooks").iterdir())
            if path.name != "hooks.conf"
        ),
        File(hooks / "hooks.conf", _hooks_conf(source / "hooks" / "hooks.conf", choices)),
        *(
            File(target, _filled(source / name, choices))
            for name, target in (
                ("slurm.conf", choices.settings.parent / "slurm.conf"),
                ("sysusers.conf", etc / "sysusers.d" / "cmfd.conf"),
                ("tmpfiles.conf", etc / "tmpfiles.d" / "cmfd.conf"),
                ("cmfd.service", etc / "systemd" / "system" / "cmfd.service"),
                ("cmfd-merge.service", etc / "systemd" / "system" / "cmfd-merge.service"),
            )
        ),
    ]


def _check(choices: Choices) -> None:
    """Raise ConfigError if a set-up by these choices would not work, or not be safe."""
    for name, value in {**choices._asdict(), "program": COMMAND}.items():
        if not _PLAIN.fullmatch(str(value)):
            raise ConfigError(
                f"the {name.replace('_', ' ')} {str(value)!r} has blanks or other characters that "
                "unit files and slurm.conf cannot hold. Nothing was written"
            )
    unknown = re.findall(r"\{[^/]*?\}|[{}]", FIELD.sub("", str(choices.site)))
    if unknown:
        raise ConfigError(
            f"the site has {unknown[0]} in it, which stands for nothing: there are {{user}}, "
            "{uid}, {account} and {cluster}. Nothing was written"
        )
    if choices.user == "root" or (choices.uid is not None and choices.uid < 1):
        raise ConfigError(
            "the service is not to run as root: it reads what all users write. Choose a --user of "
            "its own, and a --uid greater than 0. Nothing was written"
        )


def hidden_program() -> Path | None:
    """Return what keeps others from running the program that units name: a directory, or a file."""
    program = COMMAND.resolve()
    interpreter = Path(sys.executable)
    for path in (COMMAND, program, interpreter, interpreter.resolve()):
        for part in (*reversed(path.parents), path):
            with suppress(OSError):
                if not part.stat().st_mode & 0o001:
                    return part
    return None


def plan(choices: Choices) -> list[Step]:
    """Return what there is to be done about each file, without doing it."""
    digests = _read_manifest(_manifest(choices.settings))
    return [_step(file, digests) for file in all_files(choices)]


def _step(file: File, digests: dict[Path, str]) -> Step:
    try:
        before = file.path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return Step("write", file)
    if before == file.text:
        return Step("same", file, before)
    ours = digests.get(file.path) == _digest(before)
    return Step("replace" if ours else "keep", file, before)


def diff(step: Step) -> str:
    """Show what a step would change, as a patch."""
    name = str(step.file.path)
    return "".join(
        difflib.unified_diff(
            step.before.splitlines(keepends=True),
            step.file.text.splitlines(keepends=True),
            name if step.before else "/dev/null",
            name,
        )
    )


def carry_out(choices: Choices, steps: list[Step]) -> None:
    """Write the files; each is there whole, before or after."""
    manifest = _manifest(choices.settings)
    digests = _read_manifest(manifest)
    for step in steps:
        path, text, mode = step.file
        if step.action == "keep":
            path = path.with_name(path.name + NEW_SUFFIX)
        digests[path] = _digest(text)
        _write(path, text, mode)
        lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
        _write(manifest, "".join(lines), 0o644)


def remove(prefix: Path, *, dry_run: bool) -> Iterator[tuple[Path, bool]]:
    """
    Remove what was installed, except for files that were changed since.

    Parameters
    ----------
    prefix : Path
        As at the installation.
    dry_run : bool
        Only say what would be removed.

    Yields
    ------
    path : Path
        A file that was installed, and is there.
    removed : bool
        Whether it was removed; changed ones are kept.

    Raises
    ------
    NotFoundError
        Nothing was installed there.
    """
    manifest = _manifest(prefix / SYSTEM_FILE.relative_to("/"))
    digests = _read_manifest(manifest)
    if not digests:
        raise NotFoundError(f"nothing was installed under {prefix}: there is no {manifest}")
    for path, digest in digests.items():
        with suppress(FileNotFoundError):
            ours = _digest(path.read_text("utf-8", "surrogateescape")) == digest
            if ours and not dry_run:
                path.unlink()
            yield path, ours
    if not dry_run:
        manifest.unlink()
        for directory in {path.parent for path in digests if path.parent.is_dir()}:
            if directory.name in ("hooks", "cmfd") and not any(directory.iterdir()):
                directory.rmdir()


def _source() -> Path:
    """Return where the files are: in a clone, else where the wheel's were put."""
    clone = Path(cmfd.__file__).parents[1] / "slurm"
    if (clone / "hooks").is_dir():
        return clone
    for path in files_of("cmfd") or ():
        if path.match("share/cmfd/slurm/slurm.conf"):
            return Path(path.locate()).resolve().parent
    raise NotFoundError("this installation of cmfd lacks its directory `slurm`: install it again")


def _filled(template: Path, choices: Choices) -> str:
    """Return a template with the choices in it; in systemd's files a ``%`` begins a specifier."""
    by_systemd = template.name != "slurm.conf"
    prefix = "" if choices.prefix == Path("/") else str(choices.prefix)
    environment = f"Environment=CMFD_CONFIG={choices.elsewhere}\n" if choices.elsewhere else ""
    text = template.read_text("utf-8")
    for key, value in {
        "@PREFIX@": prefix,
        "@NODE_DIR@": str(choices.node_dir),
        "@CONTROLLER_DIR@": str(choices.controller_dir),
        "@SITE@": str(choices.site),
        "@SITES@": str(choices.queue.parent),
        "@USER@": choices.user,
        "@SLURM_USER@": choices.slurm_user,
        "@COMMAND@": str(COMMAND),
        "@UID@": "-" if choices.uid is None else str(choices.uid),
        "@ENVIRONMENT@\n": environment,
    }.items():
        text = text.replace(key, value.replace("%", "%%") if by_systemd else value)
    return text


def _hooks_conf(template: Path, choices: Choices) -> str:
    """Return the hooks' own settings: those of the sources, with the choices in place."""
    text = template.read_text("utf-8")
    chosen = {
        "node_dir": choices.node_dir,
        "group": choices.user,
        "controller_dir": choices.controller_dir,
        "queue": choices.queue,
        "config": choices.elsewhere or "",
    }

    def choose(line: re.Match[str]) -> str:
        value = chosen.get(line["key"], line["value"])
        return f"{line['key']}={shlex.quote(str(value)) if value else ''}"

    return re.sub(r"^(?P<key>\w+)=(?P<value>.*)$", choose, text, flags=re.MULTILINE)


def _manifest(settings: Path) -> Path:
    return settings.parent / "installed"


def _read_manifest(path: Path) -> dict[Path, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {Path(name): digest for digest, _, name in (line.partition("  ") for line in lines)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _write(path: Path, text: str, mode: int) -> None:
    """Put a file in place, whole, where everybody may read it, whatever the operator's umask."""
    try:
        for directory in reversed([path for path in path.parents if not path.exists()]):
            directory.mkdir()
            directory.chmod(0o755)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, "utf-8")
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; files before it are in place. Install as"
            " root, or below a directory of yours with --prefix; --dry-run shows all files"
        ) from error
