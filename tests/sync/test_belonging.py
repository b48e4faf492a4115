"""What belongs to a part of a site, in whatever order its packs came."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.packs import Content, an_id, small_run, write_pack

from cmfd.merge.batch import merge_site
from cmfd.merge.layout import Site, init_site
from cmfd.merge.reindex import reindex
from cmfd.query.packs import latest
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Wanted

N_RUNS = 3
SAID = (1, an_id("proc", 9))


def content_of() -> dict[str, Content]:
    """Return what is in each of some packs, by a name that ends in the number of its run."""
    packs: dict[str, Content] = {}
    for number in range(N_RUNS):
        run, execution = an_id("run", number), an_id("exec", number)
        output = f"md5:{number:032x}"
        packs |= {
            f"run {number}": small_run(number),
            f"fact of the run {number}": {"fact": [(run, "late", *SAID, "str", "x")]},
            f"fact {number}": {"fact": [(execution, "late", *SAID, "str", "x")]},
            f"event {number}": {
                "event": [(execution, "output", output, "b", *SAID, "", "", "", 0, "", "")]
            },
            f"tag {number}": {
                "note": [(an_id("tag", number), run.hex(), "tag", "good", 1, 0, "ann")]
            },
            f"mark {number}": {
                "note": [(an_id("mark", number), output, "tainted", "bad", 1, 0, "ann")]
            },
            f"whole {number}": {"link": [(f"md5:ab{number}", "contains", output, "x", *SAID)]},
            f"mark of the whole {number}": {
                "note": [(an_id("whole", number), f"md5:ab{number}", "tainted", "bad", 1, 0, "a")]
            },
        }
    packs["energy of nobody"] = {
        "energy_probe": [
            (an_id("boot", 0), "n1", "rapl", *SAID, "denied", "", "", "M", "package", "[]", "[]", 0)
        ]
    }
    return packs


def part_of(site: Site, number: int) -> set[str]:
    part = SitePeer(site).part(Wanted(f'job = "{number}"', 0))
    assert part.n_runs == 1
    return {entry.place.digest for entry in part.entries}


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(sorted(content_of())), st.integers(1, 9))
def test_a_part_has_what_belongs_to_it_and_no_more(names: list[str], n_together: int) -> None:
    """In any order, in any groups, and in an index that is made anew."""
    place = Path(tempfile.mkdtemp())
    try:
        contents = content_of()
        packs = {name: write_pack(place / name, contents[name]) for name in names}
        site = init_site(place / "site")
        for begin in range(0, len(names), n_together):
            merge_site(site.path, [packs[name] for name in names[begin : begin + n_together]])
        expected = {
            number: {packs[name].stem for name in names if name.endswith(str(number))}
            for number in range(N_RUNS)
        }
        found = {number: part_of(site, number) for number in range(N_RUNS)}
        assert found == expected
        reindex(site.path)
        assert {number: part_of(site, number) for number in range(N_RUNS)} == expected
    finally:
        shutil.rmtree(place)


def test_the_log_knows_what_a_pack_speaks_of(tmp_path: Path) -> None:
    """Also where the pack itself is gone, or is of another pack's run."""
    contents = content_of()
    for name in ("fact 1", "run 1", "mark 1", "energy of nobody"):
        merge_site(tmp_path / "site", [write_pack(tmp_path / name, contents[name])])
    shutil.rmtree(tmp_path / "site" / "packs")
    run = an_id("run", 1).hex()
    told = [(line.run, line.job, line.user) for line in latest(tmp_path / "site")]
    assert told == [("", "", ""), ("", "", ""), (run, "1", "ann"), (run, "1", "ann")]
