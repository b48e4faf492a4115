"""
The node's power by IPMI (DCMI "Get Power Reading"), as FreeIPMI's or ipmitool's command prints it.

The commands need root, or the right to ``/dev/ipmi0``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from cmfd.energy.sources.slow import SlowSource, Unanswered

if TYPE_CHECKING:
    from cmfd.config import Settings
    from cmfd.energy.readings import Roots

_COMMANDS = (
    ("ipmi-dcmi", "--get-system-power-statistics"),
    ("ipmitool", "dcmi", "power", "reading"),
)
_TIMEOUT_S = 8.0
_POWER = re.compile(
    r"^\s*(?:Current Power|Instantaneous power reading)\s*:\s*(\d+)\s*Watts?", re.MULTILINE
)
_STATE = re.compile(
    r"^\s*(?:Power Measurement\s*:|Power reading state is:)\s*(.+?)\s*$", re.MULTILINE
)
_ACTIVE = ("active", "activated")
_ABSENT = re.compile(r"could not find inband device|open device.*no such file", re.IGNORECASE)
_DENIED = re.compile(r"permission denied", re.IGNORECASE)
_ADVICE = "Let the daemon use /dev/ipmi0 (a group for it), or name a command: energy_ipmi_command."


class Ipmi(SlowSource):
    """What a command says that asks the node's controller."""

    name = "ipmi"

    def __init__(self, _roots: Roots, settings: Settings) -> None:
        super().__init__()
        self._configured = settings.energy_ipmi_command

    def power_w(self) -> float:
        """Run the command."""
        command = self._command()
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own setting, or a known name
                command,
                env={**os.environ, "LC_ALL": "C"},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unanswered("broken", f"{command[0]} did not end in {_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise Unanswered("broken", f"{command[0]} cannot be run: {error}", _ADVICE) from None
        return power_in(done.stdout, f"{command[0]}: {_last_line(done.stderr)}")

    def _command(self) -> tuple[str, ...]:
        if self._configured:
            return self._configured
        for command in _COMMANDS:
            if shutil.which(command[0]):
                return command
        raise Unanswered("absent", "neither ipmi-dcmi nor ipmitool is installed")


def power_in(said: str, otherwise: str) -> float:
    """
    Find the power in what ``ipmi-dcmi`` or ``ipmitool dcmi power reading`` prints.

    Parameters
    ----------
    said : str
        Standard output.
    otherwise : str
        What to say where there is no power in it.

    Returns
    -------
    float
        Watts.

    Raises
    ------
    Unanswered
        It says none, that the measurement is not active, or why it could not ask.
    """
    found, state = _POWER.search(said), _STATE.search(said)
    if found is None:
        if _ABSENT.search(otherwise):
            raise Unanswered("absent", f"{otherwise}: this node has no controller")
        if _DENIED.search(otherwise):
            raise Unanswered("denied", otherwise, _ADVICE)
        raise Unanswered("broken", f"{otherwise or 'no answer'}: this node has no DCMI power")
    if state is not None and state[1].lower() not in _ACTIVE:
        raise Unanswered("broken", f"the controller's power measurement is {state[1].lower()}")
    if not int(found[1]):
        raise Unanswered("broken", "the controller says 0 Watts")
    return float(found[1])


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
