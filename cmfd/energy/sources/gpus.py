"""What sources of GPUs have in common: a library of the driver's, loaded, asked, let go of."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args

from cmfd.energy.readings import Kind, Probe, Reading, boottime_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from cmfd.energy.readings import Grade, ReadingStatus, Scope


class Gpus:
    """
    The energy of each GPU by its UUID, or its power where it counts none.

    Attributes
    ----------
    name, grade, scope, min_interval_s
        As `cmfd.energy.readings.Source`.
    bindings : str
        The module that calls the library.
    failure : str
        The exception in it that stands for all that the library says is wrong.
    """

    name: str
    grade: Grade = "B"
    scope: Scope = "gpu"
    min_interval_s = 0.1
    bindings: str
    failure: str

    def __init__(self) -> None:
        self._library: ModuleType | None = None
        self._devices: list[tuple[str, Kind, Any]] = []

    @property
    def library(self) -> ModuleType:
        """The bindings, between `open` and `close`."""
        assert self._library is not None
        return self._library

    @property
    def error(self) -> type[Exception]:
        """What the bindings raise."""
        found: type[Exception] = getattr(import_module(self.bindings), self.failure)
        return found

    # -- what a subclass says ----------------------------------------------------------------

    def begin(self) -> None:
        """Have the library begin; raises `error`."""
        raise NotImplementedError

    def end(self) -> None:
        """Have it end; raises `error`."""
        raise NotImplementedError

    def handles(self) -> Iterator[tuple[str, Any]]:
        """Yield each GPU's UUID, and what it is asked by; raises `error`."""
        raise NotImplementedError

    def value(self, kind: Kind, device: Any) -> int:
        """Return a GPU's microjoules or microwatts; raises `error`."""
        raise NotImplementedError

    def status_of(self, error: Exception) -> ReadingStatus:
        """Return what a reading is that failed."""
        del error
        return "gone"

    def can_tell(self, kind: Kind, device: Any) -> bool:
        """Tell whether a GPU says its energy, or its power; raises `error`."""
        self.value(kind, device)
        return True

    # -- as a source -------------------------------------------------------------------------

    def open(self) -> None:
        """Load the library and find the GPUs; none where it does not answer any more."""
        try:
            self._load()
        except self.error:
            self.close()

    def read(self) -> list[Reading]:
        """Read each GPU's energy, or its power."""
        return [self._read(*device) for device in self._devices]

    def close(self) -> None:
        """Let go of the library."""
        library, self._devices = self._library, []
        if library is not None:
            try:
                self.end()
            except self.error:
                return  # the driver is gone: nothing is held any more
            finally:
                self._library = None

    def _load(self) -> None:
        self.close()
        library = import_module(self.bindings)
        self.begin()
        self._library = library
        for domain, device in self.handles():
            if (kind := self._kind(device)) is not None:
                self._devices.append((domain, kind, device))
        self.grade = "C" if any(kind == "power" for _, kind, _ in self._devices) else "B"

    def _kind(self, device: Any) -> Kind | None:
        """Return what a GPU can say: energy, power, or nothing."""
        for kind in get_args(Kind):
            try:
                return kind if self.can_tell(kind, device) else None
            except self.error:  # noqa: PERF203 - one cannot be told in advance
                continue
        return None

    def _read(self, domain: str, kind: Kind, device: Any) -> Reading:
        try:
            value = self.value(kind, device)
        except self.error as error:
            return Reading(domain, "gpu", kind, 0, None, boottime_ns(), self.status_of(error))
        return Reading(domain, "gpu", kind, value, None, boottime_ns())

    def found(self, nothing: str) -> Probe:
        """Return what there is, after `_load`; with the reason if there is nothing."""
        domains = tuple(domain for domain, _, _ in self._devices)
        if not domains:
            return Probe(self.name, "absent", nothing, scope="gpu")
        powers = [domain for domain, kind, _ in self._devices if kind == "power"]
        reason = f"{len(domains)} GPUs"
        if powers:
            reason += f", of which {len(powers)} count no energy: their power is integrated"
        return Probe(
            source=self.name, status="available", reason=reason, grade=self.grade, scope="gpu",
            domains=domains, components=("gpu",),
        )  # fmt: skip
