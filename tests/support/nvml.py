"""GPUs of NVIDIA as a test has them: a library in C in place of the driver's, and what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakeNvml:
    """
    A library and the file that says what it tells.

    Parameters
    ----------
    directory : Path
        An empty one.
    """

    def __init__(self, directory: Path) -> None:
        self._says = directory / "gpus"
        self._library = directory / "libnvidia-ml.so.1"
        source = Path(__file__).with_name("nvml.c")
        flags = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
        build = [program("cc", "gcc"), *flags, "-o", str(self._library), str(source)]
        subprocess.run(build, check=True)

    def say(self, *gpus: str) -> None:
        """Set the GPUs: each its UUID, minor number, energy, power and MIG, as in ``nvml.c``."""
        self._says.write_text("".join(f"{gpu}\n" for gpu in gpus))

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with which a process takes it for the driver's library."""
        place = str(self._library.parent)
        return {**environ, "LD_LIBRARY_PATH": place, "FAKE_NVML": str(self._says)}
