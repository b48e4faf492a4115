"""One version, one set-up command, one test command; documents that say what is true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

import cmfd
from cmfd import errors

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors that a page's headings have, as GitHub makes them."""
    text = _CODE.sub("", path.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(text)
    }


def test_the_version_is_said_once() -> None:
    """The package's metadata takes it from the module, and the change log knows it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", cmfd.__version__)
    assert version("cmfd") == cmfd.__version__
    written = [
        path.name
        for path in (ROOT / "pyproject.toml", *(ROOT / "cmfd").rglob("*.py"))
        if f'"{cmfd.__version__}"' in path.read_text(encoding="utf-8")
    ]
    assert written == ["__init__.py"]


def test_no_two_files_of_tests_have_one_name() -> None:
    """They are modules without packages: all tests together could not be collected."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]


def test_generated_documents_are_up_to_date() -> None:
    """`make docs` writes them anew from code and schemas."""
    command = [sys.executable, "-m", "docs.generate", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_documents_lead_somewhere(path: Path) -> None:
    """Pages, files and headings are there."""
    text = _CODE.sub("", path.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_ci_does_what_the_readme_says() -> None:
    """Set-up and test command are those that a user is told."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    for command in ("./setup", ".venv/bin/pytest -n 2"):
        assert command in readme
        assert command in ci


def test_every_error_has_an_exit_code_of_its_own() -> None:
    """Job scripts act on them; 0 is success, 2 a usage error."""
    kinds = [item for item in vars(errors).values() if isinstance(item, type)]
    codes = [kind.exit_code for kind in kinds if issubclass(kind, errors.CmfdError)]

    assert len(set(codes)) == len(codes)
    assert not {0, 2} & set(codes)
