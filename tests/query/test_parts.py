"""Lineage through parts of files, as programs really record them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from support.logging_here import as_new_process

import cmfd
from cmfd.content.files import hash_path
from cmfd.merge.batch import merge_site
from cmfd.query.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from cmfd.client.execution import Execution

USES: dict[str, Callable[[Execution], object]] = {
    "file": lambda ex: ex.input("hits.h5"),
    "group": lambda ex: ex.input("hits.h5", datasets=["/train"]),
    "x": lambda ex: ex.input("hits.h5", datasets=["/train/x"]),
    "y": lambda ex: ex.input("hits.h5", datasets=["/train/y"]),
    "copy": lambda ex: ex.input("copy.h5", datasets=["/other/name"]),
    "first": lambda ex: ex.slice("first", of="hits.h5::/train/x", rows=[(0, 10)]),
    "later": lambda ex: ex.slice("later", of="hits.h5::/train/x", rows=[(10, 30)]),
    "most": lambda ex: ex.slice("most", of="hits.h5::/train/x", rows=[(5, 25)]),
    "others": lambda ex: ex.slice("others", of="hits.h5::/test/z", rows=[(0, 10)]),
    "files": lambda ex: ex.slice("files", files=["hits.h5", "a.txt"]),
    "text": lambda ex: ex.input("a.txt"),
}
"""Stages by what they read of a file with /train/x, /train/y and /test/z, and of others."""
OF_X = {"file", "group", "x", "copy", "first", "later", "most", "files"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a site where each stage has read what it reads, and written a model."""
    root = tmp_path_factory.mktemp("parts")
    variables = {"CMFD_STRICT": "true", "CMFD_SITE": str(root / "site")}
    with (
        pytest.MonkeyPatch.context() as patch,
        as_new_process(patch, root / "node", **variables),
    ):
        patch.chdir(root)
        _make()
        for stage, use in USES.items():
            with cmfd.start("toy", stage) as ex:
                use(ex)
                Path(f"{stage}.model").write_text(stage)
                ex.output(f"{stage}.model", kind="model")
            ex.session.close()
        merge_site(root / "site", (root / "node" / "journals").glob("*.cmfj"))
    return Site(root / "site")


def _make() -> None:
    """Write the files, and record that of one."""
    values = np.arange(100.0)
    with h5py.File("hits.h5", "w") as file:
        file["train/x"], file["train/y"], file["test/z"] = values, values[:50], values[:40]
    with h5py.File("copy.h5", "w") as file:
        file["other/name"] = values
    Path("a.txt").write_text("a")
    with cmfd.start("toy", "make") as ex:
        ex.output("hits.h5")
    ex.session.close()


@pytest.mark.parametrize(
    ("tainted", "reached"),
    [
        ("hits.h5::/train/x", OF_X),
        ("hits.h5::/train/y", {"file", "group", "y", "files"}),
        ("hits.h5::/train", OF_X | {"y"}),
        ("hits.h5", OF_X | {"y", "others"}),
        ("first", {"file", "group", "x", "copy", "first", "most", "files"}),
        ("others", {"file", "others", "files"}),
        ("a.txt", {"files", "text"}),
    ],
)
def test_a_taint_reaches_who_used_any_of_it(site: Site, tainted: str, reached: set[str]) -> None:
    """As a whole, as a part, as rows of it; nobody who used only what stands beside it."""
    found = site.impact(tainted)
    assert {one.stage for one in found.executions} == reached
    assert {one.path for one in found.artifacts if one.kind == "model"} == {
        f"{stage}.model" for stage in reached
    }


@pytest.mark.parametrize("stage", ["file", "group", "x", "y", "first", "others", "files"])
def test_what_was_read_of_a_file_leads_to_who_wrote_the_file(site: Site, stage: str) -> None:
    """And to nobody else's model: what else read the file is no ancestor."""
    found = site.up(f"{stage}.model")
    assert {one.stage for one in found.executions} == {stage, "make"}
    assert {one.path for one in found.artifacts if one.kind == "model"} == {f"{stage}.model"}


def test_a_file_that_is_known_by_its_parts_alone_has_its_name(site: Site) -> None:
    """Nobody named copy.h5 as a whole."""
    found = site.down("copy.h5::/other/name")
    assert {one.path for one in found.artifacts} >= {"hits.h5", "copy.h5"}
    assert site.artifact(hash_path(site.path.parent / "copy.h5").digest).artifact.path == "copy.h5"


@pytest.mark.parametrize("stage", ["file", "group", "x", "y", "first", "others", "files"])
def test_parts_of_files_are_found_in_them(site: Site, stage: str) -> None:
    """Data sets, groups, rows and slices of files lack nothing while the files are there."""
    (one,) = site.recipe(_execution(site, stage)).inputs
    assert (one.problem, one.found is not None) == ("", True)


def test_parts_that_are_elsewhere_or_another_are_told_apart(site: Site) -> None:
    """/train/x is in the copy still; /train/y has become something else."""
    root = site.path.parent
    file, kept = root / "hits.h5", root / "kept.h5"
    file.rename(kept)
    try:
        (x,) = site.recipe(_execution(site, "x")).inputs
        assert x.found == f"{root}/copy.h5::/other/name"
        (y,) = site.recipe(_execution(site, "y")).inputs
        assert y.problem == f"not here: {file}::/train/y"
        with h5py.File(file, "w") as other:
            other["train/x"], other["train/y"] = np.arange(100.0), np.arange(7.0)
        (x,) = site.recipe(_execution(site, "x")).inputs
        assert x.found == f"{file}::/train/x"
        (y,) = site.recipe(_execution(site, "y")).inputs
        assert y.problem == f"{file}::/train/y holds something else now"
        (first,) = site.recipe(_execution(site, "others")).inputs
        assert "of its parts" in first.problem
    finally:
        kept.replace(file)


def _execution(site: Site, stage: str) -> str:
    (found,) = site.search(f'stage = "{stage}"')
    return found.execution
