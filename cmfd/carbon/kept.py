"""
What a site keeps of factors: every set and every series that was ever added, as it was.

    factors/sets/<sha256>.toml          a factor set, as its operator wrote it
    factors/intensity/<sha256>.csv      an intensity series
    factors/added/<sha256>.json         when each was added, by whom, from where
    factors/current                     the id of the set in use

Names are the digests of files, so that none can change unnoticed. Who may write to the site's
directory may add to it; who may read it may read them.
"""

from __future__ import annotations

import csv
import hashlib
import os
import pwd
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from cmfd.carbon import factors, series
from cmfd.errors import ConfigError, FactorsError, NotFoundError
from cmfd.merge.layout import open_site, write_once
from cmfd.store.shared import make_directory, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIRECTORY = "factors"
_SETS, _SERIES, _ADDED, _CURRENT = "sets", "intensity", "added", "current"
_MOST_BYTES = 1 << 28


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """When something was added, by whom, and from which file."""

    at_ns: int
    by: str
    name: str


class KeptSet(NamedTuple):
    """A factor set of a site."""

    id: str
    text: str
    factors: factors.FactorSet
    added: Added
    is_current: bool


class KeptSeries(NamedTuple):
    """An intensity series of a site."""

    series: series.Series
    added: Added

    @property
    def id(self) -> str:
        """SHA-256 of it."""
        return self.series.id


def add_series(site_dir: Path, source: Path) -> tuple[KeptSeries, bool]:
    """
    Take an intensity series into a site.

    Parameters
    ----------
    site_dir : Path
        The site.
    source : Path
        A CSV file.

    Returns
    -------
    kept : KeptSeries
        What the site has now.
    is_new : bool
        Whether it did not have it before.

    Raises
    ------
    FactorsError
        The file cannot be used; the site is as it was.
    NotFoundError, ConfigError
        There is no site, or this user may not write to it.
    """
    site = writable(site_dir)
    found = series.read(text_of(source), str(source))
    is_new = _keep(site, _SERIES, f"{found.id}.csv", series.written(found.rows), source)
    return KeptSeries(found, _added(site, found.id)), is_new


def add_factors(site_dir: Path, source: Path) -> tuple[KeptSet, bool]:
    """
    Take a factor set into a site; which one is in use stays as it is.

    Parameters and errors are those of `add_series`, but for the file: it is TOML.
    """
    site = writable(site_dir)
    text = text_of(source)
    factors.parse(text, str(source))
    is_new = _keep(site, _SETS, f"{factors.id_of(text)}.toml", text, source)
    return set_of(site_dir, factors.id_of(text)), is_new


def use(site_dir: Path, name: str) -> KeptSet:
    """
    Have a factor set used where no other is asked for.

    Parameters
    ----------
    site_dir : Path
        The site.
    name : str
        As for `set_of`.

    Raises
    ------
    NotFoundError, ConfigError
        There is none that goes by it, no site, or this user may not write to it.
    """
    site = writable(site_dir)
    chosen = set_of(site_dir, name)
    try:
        write_whole(site / _CURRENT, f"{chosen.id}\n".encode())
    except OSError as error:
        raise _unwritable(site, error) from error
    return chosen._replace(is_current=True)


def sets(site_dir: Path) -> list[KeptSet]:
    """
    Return the factor sets of a site, in the order in which they were added.

    Raises
    ------
    ConfigError
        One cannot be read, or is not what its name says; nothing was changed.
    """
    site = site_dir / DIRECTORY
    current = current_id(site_dir)
    found = []
    for path in _files(site, _SETS, ".toml"):
        text = _whole(path)
        parsed = factors.parse(text, str(path))
        found.append(
            KeptSet(path.stem, text, parsed, _added(site, path.stem), path.stem == current)
        )
    return sorted(found, key=lambda one: (one.added.at_ns, one.id))


def all_series(site_dir: Path) -> list[KeptSeries]:
    """
    Return the intensity series of a site, in the order in which they were imported.

    Raises
    ------
    ConfigError
        One cannot be read, or is not what its name says; nothing was changed.
    """
    site = site_dir / DIRECTORY
    found = [
        KeptSeries(_read_again(path), _added(site, path.stem))
        for path in _files(site, _SERIES, ".csv")
    ]
    return sorted(found, key=lambda one: (one.added.at_ns, one.id))


def current_id(site_dir: Path) -> str | None:
    """Return the id of the factor set in use; None if there is none."""
    try:
        return (site_dir / DIRECTORY / _CURRENT).read_text("utf-8").strip()
    except FileNotFoundError:
        return None


def set_of(site_dir: Path, name: str) -> KeptSet:
    """
    Return a factor set of a site.

    Parameters
    ----------
    site_dir : Path
        The site.
    name : str
        ``current``, its name, its SHA-256 or the beginning of that.

    Raises
    ------
    NotFoundError
        None goes by it, or several do.
    """
    wanted = (current_id(site_dir) or name) if name == "current" else name
    fitting = [one for one in sets(site_dir) if _goes_by(one.id, one.factors.name, wanted)]
    return _the_one(fitting, wanted, "factor set", "cmfd carbon factors list")


def series_of(site_dir: Path, name: str) -> KeptSeries:
    """
    Return an intensity series of a site.

    Parameters
    ----------
    site_dir : Path
        The site.
    name : str
        ``last``, its SHA-256 or the beginning of that.

    Raises
    ------
    NotFoundError
        None goes by it, or several do.
    """
    known = all_series(site_dir)
    fitting = known[-1:] if name == "last" else [one for one in known if one.id.startswith(name)]
    return _the_one(fitting, name, "intensity series", "cmfd carbon intensity list")


T = TypeVar("T", KeptSet, KeptSeries)


def _the_one(fitting: Sequence[T], name: str, what: str, ask: str) -> T:
    if len(fitting) == 1:
        return fitting[0]
    told = ", ".join(one.id[:12] for one in fitting)
    why = f"several go by it: {told}" if fitting else "none goes by it"
    raise NotFoundError(f"no {what} {name!r} at this site: {why}. Those that it has: {ask}")


def _goes_by(digest: str, called: str, name: str) -> bool:
    return bool(name) and (called == name or digest.startswith(name))


def writable(site_dir: Path) -> Path:
    """
    Return the directory of a site's factors, if this user may write to the site.

    Raises
    ------
    NotFoundError, ConfigError
        There is no site, or this user may not; nothing was changed.
    """
    site = open_site(site_dir)
    if not os.access(site.path, os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigError(
            f"{site.path} may not be written by this user; nothing was changed. Factors of a site"
            " are its operator's: ask who owns it, or use a site of your own (--site)"
        )
    return site.path / DIRECTORY


def _keep(site: Path, shelf: str, name: str, text: str, source: Path) -> bool:
    """Put a file on its shelf, with who did; return whether it was not there."""
    digest = name.partition(".")[0]
    path = site / shelf / name
    if path.exists():
        return False
    said = Added(at_ns=time.time_ns(), by=_user(), name=source.name)
    try:
        for directory in (site, site / shelf, site / _ADDED):
            make_directory(directory)
        # Before it: what lies on a shelf is added.
        write_once(site / _ADDED / f"{digest}.json", msgspec.json.encode(said).decode() + "\n")
        write_once(path, text)
    except OSError as error:
        raise _unwritable(site, error) from error
    return True


def _unwritable(site: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{site} cannot be written: {error}; nothing was added. Try it again")


def _files(site: Path, shelf: str, suffix: str) -> list[Path]:
    return sorted(path for path in (site / shelf).glob(f"[0-9a-f]*{suffix}") if path.is_file())


def _whole(path: Path) -> str:
    """Return a kept file, if it is what its name says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}; nothing was changed") from error
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise ConfigError(
            f"{path} was changed after it was added: it is not what its name says. Put it back"
            " from a backup, or remove it and add the original again"
        )
    return data.decode()


def _read_again(path: Path) -> series.Series:
    try:
        return series.read_again(_whole(path), path.stem)
    except (ValueError, KeyError, ArithmeticError, csv.Error) as error:
        raise ConfigError(
            f"{path} is no series as `cmfd carbon intensity import` writes them: {error}. Remove"
            " it, and import it"
        ) from error


def _added(site: Path, digest: str) -> Added:
    path = site / _ADDED / f"{digest}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Added)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}. It says when {digest} was added: put it back from a"
            " backup, or remove what was added, and add it again"
        ) from error


def text_of(source: Path) -> str:
    """
    Return a file that somebody wants to add, as it is.

    Raises
    ------
    FactorsError
        It cannot be read, or is no text; nothing was changed.
    """
    try:
        if source.stat().st_size > _MOST_BYTES:
            raise FactorsError(f"{source} is larger than {_MOST_BYTES >> 20} MiB: cut it in parts")
        return source.read_bytes().decode()
    except OSError as error:
        raise FactorsError(f"cannot read {source}: {error}; nothing was changed") from error
    except UnicodeDecodeError as error:
        raise FactorsError(f"{source} is not UTF-8: {error}; nothing was changed") from error


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container
        return f"uid {uid}"
