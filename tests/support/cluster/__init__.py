"""Real SLURM clusters on one machine, for root: see `support.cluster.cluster`."""

from support.cluster.cluster import Cluster
from support.cluster.jobs import Account, JobEnd
from support.cluster.options import Options

__all__ = ["Account", "Cluster", "JobEnd", "Options"]
