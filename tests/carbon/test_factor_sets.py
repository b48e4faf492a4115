"""Factor sets: what they must be like, who may add them, and that they stay as they are."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from support.factors import FACTORS, Energy, FactorSite, at

from cmfd.carbon import kept
from cmfd.carbon.book import CarbonBook
from cmfd.carbon.factors import parse
from cmfd.errors import ConfigError, FactorsError, NotFoundError
from cmfd.merge.gc import gc

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
CONTRACT = '{ g_per_kwh = 1, share = 0.6, source = "a" }'
BACKWARDS = "start_utc = 2026-01-02T00:00:00Z, end_utc = 2026-01-01T00:00:00Z"
PUE = '{ value = 1.25, source = "metered" }'


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('name = "plain"', "name = ", "valid"),
        ('name = "plain"', 'title = "plain"', "title"),
        ('nodes = ["*"]', "nodes = []", "nodes"),
        ('["series"]', '["guess"]', "order"),
        ('["series"]', '["series", "series"]', "twice"),
        ('["series"]', '["country"]', "needs country"),
        ('["series"]', '["regional"]', "needs country and region"),
        ('["series"]', '["constant"]', "needs constant"),
        ('zone = "GB"\n', "", "needs zone"),
        ('["series"]', '["series", "country"]\ncountry = "GBR"\nbasis = "marginal"', "averages"),
        ("1.25", "0.9", "value"),
        ("1.25", "nan", "number"),
        ("1100.0", "inf", "number"),
        ('source = "metered"', 'source = ""', "source"),
        (PUE, "", "pue"),
        (PUE, f"{PUE}, {PUE}", "same time"),
        (PUE, PUE.replace("}", ", start_utc = 2026-01-01T00:00:00 }"), "no zone"),
        (PUE, PUE.replace("}", ", start_utc = 2026-01-01T00:00:00+02:00 }"), "not in UTC"),
        (PUE, PUE.replace("}", f", {BACKWARDS} }}"), "not after"),
        ('zone = "GB"', 'zone = "GB"\ncountry = "GB"', "country"),
        ('zone = "GB"', 'zone = "GB"\nseries = ["3f"]', "series"),
        ('zone = "GB"', 'zone = "GB"\nuncertainty = { series = 1.5 }', "uncertainty"),
        ('zone = "GB"', f'zone = "GB"\ncontracts = [{CONTRACT}, {CONTRACT}]', "more than all"),
        ("6.0", "0.0", "lifetime_years"),
    ],
)  # fmt: skip
def test_what_is_no_factor_set_is_refused(site: FactorSite, old: str, new: str, why: str) -> None:
    """The message says which key; the site is as it was."""
    assert old in FACTORS
    with pytest.raises(FactorsError, match=why):
        site.factors(FACTORS.replace(old, new, 1))

    assert not (site.path / "factors").exists()


def test_numbers_are_exactly_what_is_written() -> None:
    """A lifetime of 0.1 years is a tenth of one."""
    kind = parse(FACTORS.replace("6.0", "0.1"), "x").node_types[0]

    assert kind.grams_per_ns() * 31_557_600 * 10**9 == 11_000_000


def test_a_factor_set_is_kept_as_it_was_written(site: FactorSite) -> None:
    """With its comments, under the digest that `sha256sum` prints."""
    text = f"# agreed on 3 March\n{FACTORS}"
    book = site.factors(text)

    kept_text = (site.path / "factors" / "sets" / f"{book.factor_set_id}.toml").read_text()
    assert kept_text == text == kept.set_of(site.path, "current").text


def test_a_changed_file_is_another_factor_set(site: FactorSite) -> None:
    """Any period can be reckoned with either; the result says with which."""
    site.series()
    before = site.factors()
    after = site.factors(FACTORS.replace("1.25", "1.5").replace('"plain"', '"newer"'))
    rows = [Energy("n1", at(0), 1, 3_600_000_000_000)]

    current = CarbonBook.open(site.path)
    assert [one.is_current for one in kept.sets(site.path)] == [False, True]
    assert current.of(rows).factor_set_id == after.factor_set_id != before.factor_set_id
    assert current.of(rows).operational_gco2e == 150
    for name in ("plain", before.factor_set_id, before.factor_set_id[:10]):
        again = current.with_factors(name).of(rows)
        assert (again.operational_gco2e, again.factor_set_name) == (125, "plain")
        assert again.factor_set_id == before.factor_set_id


def test_to_add_a_factor_set_again_changes_nothing(site: FactorSite, tmp_path: Path) -> None:
    """Nor does it change which is in use."""
    site.factors()
    newer = site.factors(FACTORS.replace("plain", "newer"))
    (tmp_path / "again.toml").write_text(FACTORS)

    _, is_new = kept.add_factors(site.path, tmp_path / "again.toml")

    assert not is_new
    assert [one.added.name for one in kept.sets(site.path)] == ["factors.toml"] * 2
    assert kept.set_of(site.path, "current").id == newer.factor_set_id


def test_a_name_of_two_factor_sets_is_no_name(site: FactorSite) -> None:
    """Both are told, by the beginnings of their ids."""
    first, second = site.factors(), site.factors(FACTORS.replace("1.25", "1.3"))

    with pytest.raises(NotFoundError, match="several") as error:
        kept.set_of(site.path, "plain")
    assert first.factor_set_id[:12] in str(error.value)
    assert second.factor_set_id[:12] in str(error.value)


def test_a_factor_set_that_was_changed_is_not_used(site: FactorSite) -> None:
    """Figures that name it must mean what it was."""
    book = site.factors()
    path = site.path / "factors" / "sets" / f"{book.factor_set_id}.toml"
    path.chmod(0o600)
    path.write_text(path.read_text().replace("1.25", "1.0"))

    with pytest.raises(ConfigError, match="was changed after it was added"):
        CarbonBook.open(site.path)


@pytest.fixture
def somebody_else() -> Iterator[None]:
    """Be a user who owns nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """Return a directory that everybody may look into."""
    with TemporaryDirectory(prefix="cmfd-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.mark.parametrize("what", ["series", "factors"])
def test_only_who_may_write_the_site_may_add_to_it(
    open_place: Path, request: pytest.FixtureRequest, what: str
) -> None:
    """Others are told whom to ask; what is there they may read."""
    site = FactorSite(open_place)
    site.series()
    book = site.factors()
    (site.path / "factors").chmod(0o777)  # whatever became of its rights
    (open_place / "new").write_text("")
    request.getfixturevalue("somebody_else")

    with pytest.raises(ConfigError, match="may not be written by this user"):
        getattr(kept, f"add_{what}")(site.path, open_place / "new")
    with pytest.raises(ConfigError, match="may not be written by this user"):
        kept.use(site.path, book.factor_set_id)
    assert kept.set_of(site.path, "current").id == book.factor_set_id


def test_a_group_that_writes_the_site_reads_and_adds_factors(site: FactorSite) -> None:
    """What is made follows the site's directory, and no umask."""
    site.path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        book = site.factors()
    finally:
        os.umask(before)

    directory = site.path / "factors"
    assert directory.stat().st_mode & 0o7777 == 0o2770
    for path in (directory / "current", directory / "sets" / f"{book.factor_set_id}.toml"):
        assert path.stat().st_mode & 0o777 == 0o660


def test_what_a_crash_left_half_written_is_found_by_gc(site: FactorSite) -> None:
    """Once it is old; what is kept is not."""
    book = site.factors()
    directory = site.path / "factors"
    left = [directory / ".current-0f", directory / "sets" / f".{book.factor_set_id}.toml-0f"]
    for path in (*left, directory / "sets" / ".new.toml-0f"):
        path.write_text("")
    for path in (*left, directory / "current"):
        os.utime(path, (0, 0))

    assert {one.path for one in gc(site.path, remove=True).leftovers} == set(left)
    assert kept.set_of(site.path, "current").id == book.factor_set_id
