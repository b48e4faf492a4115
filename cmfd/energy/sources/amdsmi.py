"""
AMD GPUs, by the Python bindings of AMD SMI, which ROCm brings along.

A counter counts in units of some 15 microjoules. Of a GPU with two dies (MI250X) the first counts
for both, and the second says 0.
"""

from __future__ import annotations

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

from cmfd.energy.readings import Gpu, Probe, Reading, boottime_ns

if TYPE_CHECKING:
    from types import ModuleType

    from cmfd.config import Settings
    from cmfd.energy.readings import Grade, Kind, Roots, Scope

_UW_PER_W = 1_000_000
_INSTALL = (
    "Install AMD SMI's bindings beside cmfd, of the version of ROCm that is here: "
    "pip install /opt/rocm/share/amd_smi."
)


class AmdSmi:
    """The energy of each AMD GPU, by its UUID."""

    name = "amdsmi"
    grade: Grade = "B"
    scope: Scope = "gpu"
    min_interval_s = 0.1

    def __init__(self, roots: Roots, _settings: Settings) -> None:
        self._driver = roots.sys / "module" / "amdgpu"
        self._smi: ModuleType | None = None
        self._devices: list[tuple[str, Kind, Any]] = []

    def probe(self) -> Probe:
        """Ask the driver for its GPUs, and each for its energy; without a driver, ask nothing."""
        if not self._driver.exists():
            return Probe(self.name, "absent", "no AMD driver", scope="gpu")
        if util.find_spec("amdsmi") is None:
            reason = "AMD's driver is here, the bindings of AMD SMI are not"
            return Probe(self.name, "broken", reason, _INSTALL, scope="gpu")
        try:
            self._load()
        except Exception as error:  # noqa: BLE001 - its import fails with whatever lacks in its library
            self.close()
            reason = f"AMD SMI cannot be used: {error}"
            return Probe(self.name, "broken", reason, _INSTALL, scope="gpu")
        try:
            return self._found()
        finally:
            self.close()

    def open(self) -> None:
        """Load the library and find the GPUs; none where it does not answer any more."""
        try:
            self._load()
        except import_module("amdsmi").AmdSmiException:
            self.close()

    def read(self) -> list[Reading]:
        """Read each GPU's energy, or its power."""
        return [self._read(*device) for device in self._devices]

    def close(self) -> None:
        """Let go of the library."""
        smi, self._smi, self._devices = self._smi, None, []
        if smi is not None:
            try:
                smi.amdsmi_shut_down()
            except smi.AmdSmiException:
                return  # the driver is gone: nothing is held any more

    def gpus(self) -> list[Gpu]:
        """Return the GPUs."""
        return [Gpu(domain) for domain, _, _ in self._devices]

    def _load(self) -> None:
        self.close()
        self._smi = smi = import_module("amdsmi")
        smi.amdsmi_init()
        for device in smi.amdsmi_get_processor_handles():
            kind = self._kind(device)
            if kind is not None:
                domain = str(smi.amdsmi_get_gpu_device_uuid(device))
                self._devices.append((domain, kind, device))
        self.grade = "C" if any(kind == "power" for _, kind, _ in self._devices) else "B"

    def _found(self) -> Probe:
        domains = tuple(domain for domain, _, _ in self._devices)
        if not domains:
            reason = "no AMD GPU that says its energy or power"
            return Probe(self.name, "absent", reason, scope="gpu")
        return Probe(
            source=self.name,
            status="available",
            reason=f"{len(domains)} GPUs",
            grade=self.grade,
            scope="gpu",
            domains=domains,
            components=("gpu",),
        )

    def _kind(self, device: Any) -> Kind | None:
        """Return what a GPU can say: energy, power, or nothing, as a second die does."""
        smi = self._smi
        assert smi is not None
        try:
            return "counter" if self._energy_uj(device) else None
        except smi.AmdSmiException:
            pass
        try:
            return "power" if self._power_uw(device) else None
        except smi.AmdSmiException:
            return None

    def _energy_uj(self, device: Any) -> int:
        assert self._smi is not None
        said = self._smi.amdsmi_get_energy_count(device)
        return int(said["energy_accumulator"] * said["counter_resolution"])

    def _power_uw(self, device: Any) -> int:
        """Return the power, which is under another name on each kind of GPU."""
        assert self._smi is not None
        said = self._smi.amdsmi_get_power_info(device)
        for key in ("current_socket_power", "average_socket_power"):
            if isinstance(said.get(key), int) and said[key]:
                return int(said[key]) * _UW_PER_W
        return 0

    def _read(self, domain: str, kind: Kind, device: Any) -> Reading:
        smi = self._smi
        assert smi is not None
        try:
            value = self._energy_uj(device) if kind == "counter" else self._power_uw(device)
        except smi.AmdSmiException:
            return Reading(domain, "gpu", kind, 0, None, boottime_ns(), "gone")
        return Reading(domain, "gpu", kind, value, None, boottime_ns())
