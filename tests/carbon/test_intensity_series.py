"""Intensity series: what a file must be like, and what becomes of it."""

from __future__ import annotations

import hashlib
import random
import re
from typing import TYPE_CHECKING

import pytest
from support.factors import GB, HEAD

from cmfd.carbon import kept, series
from cmfd.carbon.instants import instant
from cmfd.errors import ConfigError, FactorsError, NotFoundError

if TYPE_CHECKING:
    from support.factors import FactorSite

GOOD = "GB,2026-03-29T00:00:00Z,2026-03-29T00:30:00Z,270,average,lifecycle,false,NESO"


def refusal(*rows: str, head: str = HEAD) -> str:
    """Return why a file is refused."""
    with pytest.raises(FactorsError) as error:
        series.read("\n".join((head, *rows)), "bad.csv")
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("270", "nan", "0 to 5000"),
        ("270", "inf", "0 to 5000"),
        ("270", "-1", "0 to 5000"),
        ("270", "270000", "grams per kilowatt hour"),
        ("270", "", "must be a number"),
        ("270", "27O", "must be a number"),
        ("270", "1e-999999", "decimals"),
        ("T00:30:00Z", "T00:30:00", "has no zone"),
        ("T00:30:00Z", "T01:30:00+01:00", "not in UTC"),
        ("T00:30:00Z", "T00:00:00Z", "is not after"),
        ("T00:00:00Z", "T00:45:00Z", "is not after"),
        ("2026-03-29T00:30:00Z", "2026-02-30T00:30:00Z", "is no time"),
        ("T00:30:00Z", "T00:30:60Z", "is no time"),
        ("average", "mean", "average or marginal"),
        ("lifecycle", "all", "lifecycle or direct"),
        ("false", "perhaps", "true or false"),
        ("NESO", "", "source is ''"),
        ("GB", " ", "zone is ''"),
        ("GB", '"G\x07B"', "in one line"),
        (",NESO", "", "7 values"),
        ("NESO", "NESO,more", "9 values"),
        ("NESO", '"NESO', "line 3"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(old: str, new: str, why: str) -> None:
    """The number of the line, what it has, what it should have; nothing is taken."""
    told = refusal("FR,2026-03-29T00:00:00Z,2026-03-29T00:30:00Z,50,average,lifecycle,false,RTE",
                   GOOD.replace(old, new, 1))  # fmt: skip

    assert "line 3" in told
    assert why in told
    assert "nothing of it was imported" in told


def test_all_lines_that_are_wrong_are_told_at_once() -> None:
    """An operator corrects a file once, not once for each line; of very many, the first 20."""
    told = refusal(*(GOOD.replace("270", "-1") for _ in range(30)))

    assert len(re.findall(r"line \d+:", told)) == 20
    assert "and 10 more" in told


@pytest.mark.parametrize(
    ("began", "ended", "word"),
    [
        ("00:00", "00:30", "repeats"),
        ("00:15", "00:45", "overlaps"),
        ("00:10", "00:20", "overlaps"),
    ],
)
def test_two_values_for_one_time_are_refused(began: str, ended: str, word: str) -> None:
    """Which is right, nobody could say; both lines are named, in any order."""
    other = GOOD.replace("00:00:00", f"{began}:00").replace("00:30:00", f"{ended}:00")

    for rows in ((GOOD, other), (other, GOOD)):
        assert f"line 3: {word} line 2" in refusal(*rows)


def test_a_long_row_is_not_hidden_by_a_short_one() -> None:
    """A third row that overlaps the first, though not the second, is found."""
    day = GOOD.replace("T00:30:00Z", "T23:00:00Z")
    short = GOOD.replace("T00:00:00Z", "T00:10:00Z")
    late = GOOD.replace("T00:00:00Z", "T22:00:00Z").replace("T00:30:00Z", "T22:30:00Z")

    assert "line 4: overlaps line 2" in refusal(day, short, late)


def test_what_is_of_another_kind_may_be_of_the_same_time() -> None:
    """Average and marginal, life cycle and direct, zones: each has a series of its own."""
    others = (GOOD.replace("average", "marginal"), GOOD.replace("lifecycle", "direct"),
              GOOD.replace("GB", "FR"))  # fmt: skip

    assert len(series.read("\n".join((HEAD, GOOD, *others)), "x").rows) == 4


@pytest.mark.parametrize("head", [HEAD.replace("basis,", ""), HEAD + ",more", "", "zone;start"])
def test_columns_must_be_those_that_are_known(head: str) -> None:
    """A column too few, too many or of another name is no guess."""
    assert "line 1: the columns must be" in refusal(GOOD, head=head)


def test_a_file_without_rows_is_refused() -> None:
    """Nothing was said, so nothing is known."""
    assert "there is no row" in refusal()


def test_neither_order_nor_form_make_another_series() -> None:
    """Rows and columns in any order, zeroes, blank lines, a byte order mark: the same digest."""
    rows = [row.split(",") for row in GB.splitlines()]
    random.Random(5).shuffle(rows)
    columns = [7, 3, 0, 2, 1, 5, 4, 6]
    names = HEAD.split(",")
    lines = [",".join(names[n] for n in columns), ""]
    lines += [", ".join(row[n] for n in columns).replace(" 300,", "3.00E+2,") for row in rows]
    other = "\ufeff" + "\r\n".join(lines)

    assert series.read(other, "x") == series.read(f"{HEAD}\n{GB}", "y")


def test_a_series_is_what_its_name_says(site: FactorSite) -> None:
    """What is kept can be exported and imported: the same series, and nothing is added."""
    found = site.series()
    path = site.path / "factors" / "intensity" / f"{found.id}.csv"

    again, is_new = kept.add_series(site.path, path)

    assert (again, is_new) == (found, False)
    assert kept.all_series(site.path) == [found]


def test_gaps_are_told(site: FactorSite) -> None:
    """An hour that nobody knows stays unknown."""
    (gap,) = site.series().series.gaps()

    assert gap[:3] == ("GB", "average", "lifecycle")
    assert instant(gap.began_ns) == "2026-03-29T02:00:00Z"
    assert instant(gap.ended_ns) == "2026-03-29T03:00:00Z"


def test_of_a_file_with_an_error_nothing_is_imported(site: FactorSite) -> None:
    """Not even the directory is made."""
    with pytest.raises(FactorsError, match="line 3"):
        site.series(f"{GOOD}\n{GOOD}\n")

    assert not (site.path / "factors").exists()


def test_a_series_that_was_changed_is_not_used(site: FactorSite) -> None:
    """Somebody's edit of the kept file is noticed, not reckoned with."""
    found = site.series()
    path = site.path / "factors" / "intensity" / f"{found.id}.csv"
    path.chmod(0o600)
    path.write_text(path.read_text().replace("300", "3"))

    with pytest.raises(ConfigError, match="was changed after it was added"):
        kept.all_series(site.path)


def test_a_series_goes_by_its_beginning(site: FactorSite) -> None:
    """As git's commits do; `last` is what was imported last."""
    first, second = site.series(), site.series(GOOD.replace("GB", "FR"), "fr.csv")

    assert kept.series_of(site.path, first.id[:8]) == first
    assert kept.series_of(site.path, "last") == second
    for name in ("no", ""):
        with pytest.raises(NotFoundError, match="intensity series"):
            kept.series_of(site.path, name)


@pytest.mark.parametrize(
    "text", ["", "zone\n", f"{HEAD}\nGB\n", f"{HEAD}\n{GOOD}".replace("false", "x")]
)
def test_what_import_did_not_write_is_told(site: FactorSite, text: str) -> None:
    """A file that somebody put there by hand, even under its right name, is no series."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    site.series()
    (site.path / "factors" / "intensity" / f"{digest}.csv").write_text(text)

    with pytest.raises(ConfigError, match="is no series"):
        kept.all_series(site.path)
