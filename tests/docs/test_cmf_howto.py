"""What the how-to for CMF tells a user to type does what it says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.cmf_server import serving
from support.console import commands_of, run_in_one_shell, what_is_wrong

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "cmf.md"
TIMEOUT_S = 200


@pytest.mark.slow
def test_all_that_is_shown_is_so(tmp_path: Path) -> None:
    """In an empty directory, with a server that stands in for CMF's."""
    shown = commands_of(HOWTO)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CMFD_")}
    environ |= {
        "CMFD_NODE_DIR": str(tmp_path / "node"), "CMFD_AUTOSTART": "false", "HOME": str(tmp_path),
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",  # as where it is activated
    }  # fmt: skip
    place = tmp_path / "place"
    place.mkdir()
    with serving() as server:
        environ["CMF_SERVER"] = server.url.removeprefix("cmf+http://")
        seen = run_in_one_shell(shown, place, environ, TIMEOUT_S)
    assert not what_is_wrong(shown, seen)
