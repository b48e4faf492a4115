"""The files that configure SLURM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.cluster.options import Options

HEAD_ADDRESS = "10.77.0.1"
CONTROL_PORT, DATABASE_PORT, NODE_PORT, MARIADB_PORT = 6817, 6819, 6818, 3306
"""Each cluster has a network of its own: the usual ports."""


def node_address(index: int) -> str:
    """Return the address of the node with this index, from 0."""
    return f"10.77.{1 + index // 200}.{10 + index % 200}"


PARTITIONS = """\
PartitionName=debug Nodes=ALL Default=YES PreemptMode=OFF
PartitionName=exclusive Nodes=ALL OverSubscribe=EXCLUSIVE PreemptMode=OFF
PartitionName=shared Nodes=ALL OverSubscribe=FORCE:4 PreemptMode=OFF
PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=CANCEL
PartitionName=low-requeue Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""
"""Any two jobs share a node, on different cores, but for `exclusive`; in `shared` cores, too."""

_SLURM_CONF = """\
ClusterName={cluster}
SlurmctldHost={head}({address})
SlurmctldPort={control}
SlurmdPort={node_port}
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/munge.socket,cred_expire={credential_s}
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/machines/%n/spool
TmpFS={root}/machines/%n/tmpfs
SlurmctldPidFile={root}/state/slurmctld.pid
SlurmdPidFile={root}/machines/%n/slurmd.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters={select}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
SlurmctldTimeout=30
SlurmdTimeout={silent_s}
MessageTimeout={message_s}
KillWait=5
UnkillableStepTimeout=90
MinJobAge=600
InactiveLimit=0
BatchStartTimeout=30
CompleteWait=0
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,\
requeue_delay=1
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/{task}
JobAcctGatherType=jobacct_gather/{gather}
JobAcctGatherFrequency=task=1,energy=1
AcctGatherEnergyType=acct_gather_energy/{energy}
AcctGatherNodeFreq={energy_s}
"""
# cred_expire: a requeued job waits that long before it may start again, and all nodes must have
# started a step by then; SLURM's own is 121 s.
# UnkillableStepTimeout: a step that ended while the controller was away tells it again after 60 s.
# SlurmdTimeout, MessageTimeout: a busy machine may not come to each of many nodes for a while; none
# is down for that, and no step fails.
# TmpFS is each node's own: mpi/pmix makes a directory there, and fails if there is one already.

_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={port}
AccountingStoragePass={root}/munge/munge.socket
AccountingStoreFlags=job_comment,job_env,job_script
"""

_SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={root}/munge/munge.socket
DbdHost={head}
DbdAddr={address}
DbdPort={port}
SlurmUser=slurm
LogFile={root}/log/slurmdbd.log
PidFile={root}/state/slurmdbd.pid
DebugLevel=info
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""

ACCOUNTING_SQL = """\
create database if not exists slurm_acct_db;
create user if not exists 'slurm'@'127.0.0.1' identified by 'slurm';
grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';
"""

_CGROUP_CONF = """\
CgroupPlugin=cgroup/{version}
CgroupMountpoint=/sys/fs/cgroup
ConstrainCores=no
ConstrainRAMSpace={constrain}
"""


def slurm_conf(options: Options, root: Path, cluster: str, head: str, nodes: list[str]) -> str:
    """Return the text of slurm.conf."""
    text = _SLURM_CONF.format(
        cluster=cluster, head=head, address=HEAD_ADDRESS, control=CONTROL_PORT,
        node_port=NODE_PORT, root=root, credential_s=max(10, options.n_nodes),
        silent_s=max(20, options.n_nodes // 2), message_s=max(20, min(100, options.n_nodes)),
        select="CR_Core_Memory" if options.constrain_memory else "CR_Core",
        proctrack=options.proctrack, gather=options.gather,
        task="cgroup" if options.constrain_memory else options.task,
        energy="pm_counters" if options.watts else "none", energy_s=1 if options.watts else 0,
    )  # fmt: skip
    if options.accounting:
        text += _ACCOUNTING.format(address=HEAD_ADDRESS, port=DATABASE_PORT, root=root)
    else:
        text += "AccountingStorageType=accounting_storage/none\n"
    lines = [f"{key}={value}" for key, value in options.hooks.items()]
    lines = [line.replace("{root}", str(root)) for line in [*lines, *options.lines]]
    lines += [
        f"NodeName={name} NodeAddr={node_address(index)} CPUs={options.cpus}"
        f" RealMemory={options.memory_mib} State=UNKNOWN {options.node_words}".rstrip()
        for index, name in enumerate(nodes)
    ]
    return text + "\n".join(lines) + "\n" + PARTITIONS


def slurmdbd_conf(root: Path, head: str) -> str:
    """Return the text of slurmdbd.conf."""
    return _SLURMDBD_CONF.format(
        root=root, head=head, address=HEAD_ADDRESS, port=DATABASE_PORT, mariadb=MARIADB_PORT
    )


def cgroup_conf(options: Options) -> str:
    """Return the text of cgroup.conf."""
    version = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    constrain = "yes" if options.constrain_memory else "no"
    return _CGROUP_CONF.format(version=version, constrain=constrain)


def hosts(head: str, nodes: list[str]) -> str:
    """Return the text of /etc/hosts."""
    lines = ["127.0.0.1 localhost", f"{HEAD_ADDRESS} {head}"]
    lines += [f"{node_address(index)} {name}" for index, name in enumerate(nodes)]
    return "\n".join(lines) + "\n"


def accounts(options: Options, root: Path) -> tuple[str, str]:
    """Return the texts of /etc/passwd and /etc/group: this machine's, and the cluster's users."""
    texts = []
    for name in ("passwd", "group"):
        lines = Path("/etc", name).read_text("utf-8").splitlines()
        texts.append([line for line in lines if line.split(":")[0] not in options.users])
    passwd, group = texts
    for user, uid in options.users.items():
        passwd.append(f"{user}:x:{uid}:{uid}::{root}/home/{user}:/bin/bash")
        group.append(f"{user}:x:{uid}:")
    return "\n".join(passwd) + "\n", "\n".join(group) + "\n"
