"""
NVIDIA GPUs, by their driver's NVML as `nvidia-ml-py` calls it.

Volta and newer count their energy in millijoules since the driver was loaded; older ones say a
power, which is integrated. A GPU divided by MIG counts as a whole: its parts share it.
"""

from __future__ import annotations

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

from cmfd.energy.readings import Gpu, Probe, Reading, boottime_ns

if TYPE_CHECKING:
    from types import ModuleType

    from cmfd.config import Settings
    from cmfd.energy.readings import Grade, Kind, ReadingStatus, Roots, Scope

_UJ_PER_MJ = 1000
_UW_PER_MW = 1000
_INSTALL = "Install NVIDIA's bindings beside cmfd: pip install 'cmfd[nvml]'."


class Nvml:
    """The energy of each NVIDIA GPU, by its UUID."""

    name = "nvml"
    grade: Grade = "B"
    scope: Scope = "gpu"
    min_interval_s = 0.1

    def __init__(self, roots: Roots, _settings: Settings) -> None:
        self._driver = roots.proc / "driver" / "nvidia"
        self._nvml: ModuleType | None = None
        self._devices: list[tuple[str, Kind, Any]] = []

    def probe(self) -> Probe:
        """Ask the driver for its GPUs, and each for its energy."""
        if util.find_spec("pynvml") is None:
            there = self._driver.exists()
            reason = "NVIDIA's driver is here, its bindings are not" if there else "no bindings"
            advice = _INSTALL if there else ""
            return Probe(self.name, "broken" if there else "absent", reason, advice, scope="gpu")
        nvml = import_module("pynvml")
        try:
            self._load()
        except nvml.NVMLError as error:
            absent = error.value in _ABSENT
            reason = "no NVIDIA driver" if absent else f"the NVIDIA driver says: {error}"
            advice = "" if absent else "See whether nvidia-smi works."
            self.close()
            return Probe(self.name, "absent" if absent else "broken", reason, advice, scope="gpu")
        try:
            return self._found()
        finally:
            self.close()

    def open(self) -> None:
        """Load the driver's library and find the GPUs; none where it does not answer any more."""
        try:
            self._load()
        except import_module("pynvml").NVMLError:
            self.close()

    def read(self) -> list[Reading]:
        """Read each GPU's energy, or its power."""
        return [self._read(*device) for device in self._devices]

    def close(self) -> None:
        """Let go of the library."""
        nvml, self._nvml, self._devices = self._nvml, None, []
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return  # the driver is gone: nothing is held any more

    def gpus(self) -> list[Gpu]:
        """Return the GPUs, and how MIG divides them now."""
        return [self._gpu(domain, device) for domain, _, device in self._devices]

    def _load(self) -> None:
        self.close()
        nvml = import_module("pynvml")
        nvml.nvmlInit()
        self._nvml = nvml
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            kind = self._kind(device)
            if kind is not None:
                self._devices.append((str(nvml.nvmlDeviceGetUUID(device)), kind, device))
        self.grade = "C" if any(kind == "power" for _, kind, _ in self._devices) else "B"

    def _found(self) -> Probe:
        domains = tuple(domain for domain, _, _ in self._devices)
        if not domains:
            reason = "the NVIDIA driver has no GPU that says its energy or power"
            return Probe(self.name, "absent", reason, scope="gpu")
        power = [domain for domain, kind, _ in self._devices if kind == "power"]
        reason = f"{len(domains)} GPUs"
        if power:
            reason += f", of which {len(power)} count no energy: their power is integrated"
        return Probe(
            source=self.name,
            status="available",
            reason=reason,
            grade=self.grade,
            scope="gpu",
            domains=domains,
            components=("gpu",),
        )

    def _kind(self, device: Any) -> Kind | None:
        """Return what a GPU can say: energy, power, or nothing."""
        nvml = self._nvml
        assert nvml is not None
        for kind in ("counter", "power"):
            try:
                self._value(kind, device)
            except nvml.NVMLError:
                continue
            return kind
        return None

    def _value(self, kind: str, device: Any) -> int:
        nvml = self._nvml
        assert nvml is not None
        if kind == "counter":
            return int(nvml.nvmlDeviceGetTotalEnergyConsumption(device)) * _UJ_PER_MJ
        return int(nvml.nvmlDeviceGetPowerUsage(device)) * _UW_PER_MW

    def _read(self, domain: str, kind: Kind, device: Any) -> Reading:
        nvml = self._nvml
        assert nvml is not None
        try:
            value = self._value(kind, device)
        except nvml.NVMLError as error:
            status: ReadingStatus = (
                "denied" if error.value == nvml.NVML_ERROR_NO_PERMISSION else "gone"
            )
            return Reading(domain, "gpu", kind, 0, None, boottime_ns(), status)
        return Reading(domain, "gpu", kind, value, None, boottime_ns())

    def _gpu(self, domain: str, device: Any) -> Gpu:
        nvml = self._nvml
        assert nvml is not None
        try:
            minor = int(nvml.nvmlDeviceGetMinorNumber(device))
        except nvml.NVMLError:
            minor = -1
        return Gpu(domain, minor, self._slices(device))

    def _slices(self, device: Any) -> dict[str, float]:
        """Return the MIG devices' shares of the GPU's multiprocessors."""
        nvml = self._nvml
        assert nvml is not None
        try:
            if nvml.nvmlDeviceGetMigMode(device)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
                return {}
            found, whole = {}, _multiprocessors(nvml, device)
            for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
                part = _part(nvml, device, index)
                if part is not None:
                    n_own = nvml.nvmlDeviceGetAttributes_v2(part).multiprocessorCount
                    found[str(nvml.nvmlDeviceGetUUID(part))] = n_own / whole
        except nvml.NVMLError:
            return {}
        return found


_ABSENT = (9, 12)  # NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_LIBRARY_NOT_FOUND: `nvml.h`


def _multiprocessors(nvml: ModuleType, device: Any) -> int:
    """Return those of the largest instance that a GPU can be made into."""
    found = []
    for profile in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = nvml.nvmlDeviceGetGpuInstanceProfileInfo(device, profile, version=1)
        except nvml.NVMLError:
            continue  # this GPU has no such profile
        found.append(int(info.multiprocessorCount))
    return max(found, default=1)


def _part(nvml: ModuleType, device: Any, index: int) -> Any:
    """Return a MIG device; nothing where none has this number."""
    try:
        return nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index)
    except nvml.NVMLError_NotFound:
        return None
