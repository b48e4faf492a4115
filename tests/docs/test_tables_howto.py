"""What the how-to for tables shows is what happens."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from support.console import Shown, commands_of, run_in_one_shell, what_is_wrong
from support.energy import a_row
from support.sites import ASite, a_run, set_param

from cmfd.query.tables import TABLES

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "tables.md"
BLOCK = re.compile(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
TIMEOUT_S = 100


@pytest.mark.slow
def test_all_that_is_shown_is_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands first: Python reads what they wrote."""
    contents = [a_run(n, accuracy=[0.1, (0.6, 0.75, 0.95)[n]]) for n in range(3)]
    for number, rate in enumerate((0.05, 0.1, 0.5)):
        content = contents[number]
        set_param(content, number, "rate", "float", rate)
    contents[0]["energy"] = [a_row(run=0)]
    site = ASite(tmp_path / "site").take(*contents)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CMFD_SITE", str(site.path))

    shown = commands_of(HOWTO)
    assert not what_is_wrong(shown, run_in_one_shell(shown, tmp_path, os.environ, TIMEOUT_S))

    text = HOWTO.read_text("utf-8")
    names: dict[str, Any] = {}
    for code, expected in BLOCK.findall(text):
        exec(compile(code, str(HOWTO), "exec"), names)
        printed = capsys.readouterr().out
        assert Shown(code, expected.splitlines()).fits(printed), printed
    names["site"].close()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", text, re.MULTILINE))
    assert rows == {table.name: table.meaning for table in TABLES.values()}
