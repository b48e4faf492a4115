"""Node lists as SLURM writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd.errors import SlurmError
from cmfd.slurm.hostlist import compress, expand

if TYPE_CHECKING:
    from support.cluster import Cluster

names = st.from_regex(r"[a-z]{1,3}(-[a-z]|[0-9]{0,4})([a-z][0-9]{1,3})?", fullmatch=True)

NODE_LISTS = (
    "node[01-03,7]", "a[1-2]b[01-02]", "n1", "n[9-11]", "n[099-101],x,y[3]", "rack3-[1-2],rack4-1",
    "c[1-2]s[0-1]n[0-1]",
)  # fmt: skip


@given(st.sets(names, max_size=30))
def test_a_list_has_the_names_that_it_was_made_of(nodes: set[str]) -> None:
    """Each once, whatever their numbers look like."""
    expanded = expand(compress(nodes))
    assert len(expanded) == len(nodes)
    assert set(expanded) == nodes


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (["node10", "node9", "node8"], "node[8-10]"),
        (["node08", "node09", "node10"], "node[08-10]"),
        (["n1", "n2", "n4"], "n[1-2,4]"),
        (["login"], "login"),
        (["a1b7", "a1b8", "a2b7"], "a1b[7-8],a2b7"),
        ([], ""),
    ],
)
def test_a_list_is_as_short_as_slurm_writes_it(nodes: list[str], text: str) -> None:
    """Numbers that follow each other are a range, with as many digits as they have."""
    assert compress(nodes) == text


@pytest.mark.parametrize("text", ["", "(null)", "None assigned"])
def test_no_nodes(text: str) -> None:
    """As accounting writes it of a job that never began."""
    assert expand(text) == []


@pytest.mark.parametrize(
    "text", ["n[1-", "n[a]", "n[3-1]", "n]", "n[1]]", "n[]", "a b", ",", "n[0-99999999]"]
)
def test_what_is_no_list_is_refused(text: str) -> None:
    """Also one of more nodes than there are on earth."""
    with pytest.raises(SlurmError):
        expand(text)


@pytest.mark.slurm
def test_a_list_is_read_as_slurm_reads_it(cluster: Cluster) -> None:
    """The same nodes, in either direction."""
    for text in NODE_LISTS:
        said = cluster.root_user.run("scontrol", "show", "hostnames", text).stdout.split()
        assert sorted(expand(text)) == sorted(said)
        written = cluster.root_user.run("scontrol", "show", "hostnames", compress(said)).stdout
        assert sorted(written.split()) == sorted(said)
