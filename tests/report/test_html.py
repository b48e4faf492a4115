"""Reports in HTML: one file, no network, nothing that a name can do, a table beside each plot."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import msgspec
import pytest
from support.reports import HOSTILE, a_report, energy

from cmfd.errors import ConfigError
from cmfd.report import html
from cmfd.report.costs.model import Histogram, Note, Power, Report


class Page(HTMLParser):
    """A page, taken apart."""

    VOID = ("meta", "br", "link", "use", "path", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    """Return a page of everything."""
    return Page(html.render(a_report(cards=1)))


def test_a_page_needs_no_other_file_and_no_network(page: Page) -> None:
    """Saved, mailed, opened on a train: it is all there; no script could call home."""
    assert not page.all("script")
    assert not page.all("link")
    for _tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data"):
            assert (attributes.get(name) or "#").startswith("#")
    policy = next(one for one in page.all("meta") if one.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])


def test_every_plot_says_what_it_shows_and_has_its_figures_beside_it(page: Page) -> None:
    """Who does not see the drawing gets the same from the text and the table."""
    drawings = page.all("svg")
    assert len(drawings) == 8 - 1  # all kinds; components are the job's here
    for one in drawings:
        assert one["role"] == "img"
        assert len(str(one["aria-label"])) > 40
    order = [tag for tag, _ in page.tags if tag in ("figure", "svg", "details", "table")]
    text = " ".join(order)
    assert text.count("figure svg details table") == len(page.all("figure")) == len(drawings)
    assert "aria-labelledby" in page.all("article")[0]
    assert page.all("html") == [{"lang": "en"}]


def test_ids_are_of_one_thing_and_all_that_is_referred_to_is_there(page: Page) -> None:
    """Several drawings in one page: none borrows another's clip or pattern."""
    ids = [one["id"] for _, one in page.tags if "id" in one]
    assert len(set(ids)) == len(ids)
    referred = {str(one["xlink:href"]) for _, one in page.tags if "xlink:href" in one}
    referred |= {
        found for _, one in page.tags for value in one.values() if value
        for found in re.findall(r"url\((#[^)]+)\)", value)
    }  # fmt: skip
    assert {one.removeprefix("#") for one in referred} <= set(ids)


def test_drawings_take_the_colours_of_the_page(page: Page) -> None:
    """Else a dark page would have black text on black; what has no colour but its own is none."""
    for _, attributes in page.tags:
        style = attributes.get("style") or ""
        assert not re.findall(r"(?:fill|stroke): (#\w+)", style), style


@pytest.mark.slow
def test_what_users_name_is_text_and_never_markup() -> None:
    """A job's name with a script, a quote, an escape sequence, dollars, other alphabets."""
    found = Page(html.render(a_report(cards=1, name=HOSTILE)))

    assert not found.all("script")
    assert not found.all("b") or all(not one for one in found.all("b"))
    assert all("onmouseover" not in one for _, one in found.tags)
    assert HOSTILE.replace("\x1b", "\\x1b") in found.text
    assert "\x1b" not in found.text


def test_commands_in_advice_are_code_and_columns_without_a_word_are_left_out() -> None:
    """What stands in backticks can be copied; what is in it is text all the same."""
    report = a_report()
    note = Note(kind="source", text="`cmfd doctor --energy` says `<b>why</b>`.")
    top = [msgspec.structs.replace(one, operational_gco2e=None) for one in report.top]
    found = Page(html.render(msgspec.structs.replace(report, notes=[note], top=top)))

    assert len(found.all("code")) == 2
    assert "<b>why</b>" in found.text
    assert len(found.all("b")) == 1  # the kind of the note


@pytest.mark.slow
def test_metrics_and_nodes_of_any_name_are_drawn() -> None:
    """Names go into the drawings, too; dollars are no formula there."""
    report = a_report(cards=1)
    assert report.pareto
    name = "$\\frac{1}{</text><script>"
    report = msgspec.structs.replace(
        report, pareto=msgspec.structs.replace(report.pareto, metric=name)
    )

    found = Page(html.render(report))

    assert not found.all("script")
    assert name in found.text.replace("…", "") or name[:8] in found.text


def test_the_figures_are_those_of_the_model(page: Page) -> None:
    """Energy with its bounds and grade, emissions with where they are from."""
    for word in (
        "1.27 kWh", "1.15 kWh to 1.40 kWh", "grade B", "coverage 99.6 %", "412 g",
        "53.6 g embodied", "NESO, national, actual", "2026-11", "1.28 kWh (+0.7 %)",
        "Asked for 256.0 GiB", "3 runs of other users left out",
    ):  # fmt: skip
        assert word in page.text, word


def _nothing() -> Report:
    full = a_report()
    return msgspec.structs.replace(
        full, chosen={}, since_ns=None, until_ns=None, factors=None, total=None, groups=[], top=[],
        idle=None, system=None, power=None, reconciliation=[], pareto=None, notes=[],
        histogram=Histogram(edges_s=[0.0, 1.0], counts=[0]),
    )  # fmt: skip


def test_a_report_of_nothing_is_a_page_without_empty_parts() -> None:
    """No heading stands over nothing, no plot is drawn of no figures."""
    found = Page(html.render(_nothing()))

    assert not found.all("section")
    assert not found.all("svg")
    assert "All runs" in found.text


@pytest.mark.slow
def test_one_report_gives_one_page() -> None:
    """Byte by byte: a report that is made again can be compared."""
    report = a_report()

    assert html.render(report) == html.render(report)


def test_a_job_of_which_hardly_anything_is_known_has_a_card() -> None:
    """No times, no nodes, no energy, zeroes where there were figures: nothing is made up."""
    full = a_report(cards=1).cards[0]
    known = {"run", "job", "user", "status", "stages", "nodes", "restart"}
    nothing: dict[str, object] = {str: "", list: []}  # type: ignore[dict-item]
    bare = msgspec.structs.replace(
        full,
        **{
            name: nothing.get(type(getattr(full, name)))  # type: ignore[call-overload]
            for name in full.__struct_fields__
            if name not in known
        },
    )
    still = msgspec.structs.replace(
        full,
        energy=energy(0.0),
        power=Power(
            began_ns=[0, 10**9], bucket_s=1.0, ended_ns=2 * 10**9,
            components_w={"cpu": [0.0, 0.0]}, intensity_gco2e_per_kwh=[0.0, None],
        ),
        ranks=[
            msgspec.structs.replace(one, busy_s=0.0, ended_ns=one.began_ns) for one in full.ranks
        ],
        uses=[msgspec.structs.replace(one, cpu_efficiency=0.0) for one in full.uses],
    )  # fmt: skip
    report = msgspec.structs.replace(_nothing(), cards=[bare, still])

    found = Page(html.render(report))

    assert len(found.all("article")) == 2
    assert "None" not in found.text
    assert "nan" not in found.text


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_libraries_one_is_told_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are an extra: whoever never asks for a page does not need them."""
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ConfigError, match=r"pip install 'cmfd\[report\]'"):
        html.render(a_report())
