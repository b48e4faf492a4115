"""
NVIDIA GPUs, by their driver's NVML as `nvidia-ml-py` calls it.

Volta and newer count their energy in millijoules since the driver was loaded; older ones say a
power, which is integrated. A GPU divided by MIG counts as a whole: its parts share it.
"""

from __future__ import annotations

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

from cmfd.energy.readings import Gpu, Probe
from cmfd.energy.sources.gpus import Gpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from cmfd.config import Settings
    from cmfd.energy.readings import Kind, ReadingStatus, Roots

_UJ_PER_MJ = 1000
_UW_PER_MW = 1000
_INSTALL = "Install NVIDIA's bindings beside cmfd: pip install 'cmfd[nvml]'."


class Nvml(Gpus):
    """The energy of each NVIDIA GPU, by its UUID."""

    name = "nvml"
    bindings = "pynvml"
    failure = "NVMLError"

    def __init__(self, roots: Roots, _settings: Settings) -> None:
        super().__init__()
        self._driver = roots.proc / "driver" / "nvidia"

    def probe(self) -> Probe:
        """Ask the driver for its GPUs, and each for its energy."""
        if util.find_spec(self.bindings) is None:
            there = self._driver.exists()
            reason = "NVIDIA's driver is here, its bindings are not" if there else "no bindings"
            advice = _INSTALL if there else ""
            return Probe(self.name, "broken" if there else "absent", reason, advice, scope="gpu")
        nvml = import_module(self.bindings)
        try:
            self._load()
        except nvml.NVMLError as error:
            absent = error.value in _ABSENT
            reason = "no NVIDIA driver" if absent else f"the NVIDIA driver says: {error}"
            advice = "" if absent else "See whether nvidia-smi works."
            self.close()
            return Probe(self.name, "absent" if absent else "broken", reason, advice, scope="gpu")
        try:
            return self.found("the NVIDIA driver has no GPU that says its energy or power")
        finally:
            self.close()

    def gpus(self) -> list[Gpu]:
        """Return the GPUs, and how MIG divides them now."""
        return [self._gpu(domain, device) for domain, _, device in self._devices]

    def begin(self) -> None:
        """Have the library begin."""
        import_module(self.bindings).nvmlInit()

    def end(self) -> None:
        """Have it end."""
        self.library.nvmlShutdown()

    def handles(self) -> Iterator[tuple[str, Any]]:
        """Yield each GPU."""
        nvml = self.library
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            yield str(nvml.nvmlDeviceGetUUID(device)), device

    def value(self, kind: Kind, device: Any) -> int:
        """Return energy, or power."""
        if kind == "counter":
            return int(self.library.nvmlDeviceGetTotalEnergyConsumption(device)) * _UJ_PER_MJ
        return int(self.library.nvmlDeviceGetPowerUsage(device)) * _UW_PER_MW

    def status_of(self, error: Any) -> ReadingStatus:
        """Return what a reading is that failed."""
        return "denied" if error.value == self.library.NVML_ERROR_NO_PERMISSION else "gone"

    def _gpu(self, domain: str, device: Any) -> Gpu:
        nvml = self.library
        try:
            minor = int(nvml.nvmlDeviceGetMinorNumber(device))
        except nvml.NVMLError:
            minor = -1
        return Gpu(domain, minor, self._slices(device))

    def _slices(self, device: Any) -> dict[str, float]:
        """Return the MIG devices' shares of the GPU's multiprocessors."""
        nvml = self.library
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
