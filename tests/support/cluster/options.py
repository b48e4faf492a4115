"""What can be chosen of a test cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

USERS = {"alice": 20001, "bob": 20002}
"""Users of every cluster; they exist on its machines only."""


@dataclass(frozen=True)
class Options:
    """
    What can be chosen of a cluster.

    Parameters
    ----------
    n_nodes : int
        How many nodes.
    cpus, memory_mib : int
        What each node claims to have; SLURM believes it.
    users : dict[str, int]
        Users and their uids. Each has a home and a directory in the shared file system.
    private : tuple[str, ...]
        Directories that are empty on each machine at first, for everybody to write to. All else of
        a machine's file system looks like this machine's, and what is written there stays on that
        machine as well.
    accounting : bool
        Whether there is slurmdbd, with MariaDB.
    proctrack, task, gather : str
        Plugins: linuxproc, cgroup, pgid; none, affinity, cgroup; linux, cgroup, none.
    constrain_memory : bool
        Whether a job that uses more memory than it asked for is killed. Sets `task` to cgroup,
        and memory is a resource that is allocated.
    watts : int
        Where positive, each node has a simulated counter of energy that SLURM's plugin pm_counters
        reads, with this power at first; `Machine.watts` changes it.
    hooks : dict[str, str]
        Prolog, Epilog, TaskProlog, PrologFlags and others: lines of slurm.conf.
    lines : tuple[str, ...]
        Further lines of slurm.conf. Here, and in `hooks` and `files`, {root} is the cluster's
        directory.
    files : dict[str, str]
        Further files beside slurm.conf, in {root}/etc: name and text. Scripts may be executed.
    node_words : str
        Further words of the nodes' line.
    one_cpu : bool
        Whether each node, and all jobs on it, run on one processor. Where jobs have mounts of their
        own, they should: Linux takes a namespace's number for its age, and on 6.18 a job's was seen
        to pass for older than its node's where another processor had numbered that.
    """

    n_nodes: int = 4
    cpus: int = 4
    memory_mib: int = 4000
    users: dict[str, int] = field(default_factory=lambda: dict(USERS))
    private: tuple[str, ...] = ("/tmp", "/var/tmp")
    accounting: bool = True
    proctrack: str = "linuxproc"
    task: str = "none"
    gather: str = "linux"
    constrain_memory: bool = False
    watts: int = 0
    hooks: dict[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    node_words: str = ""
    one_cpu: bool = False
