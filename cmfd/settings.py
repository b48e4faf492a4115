"""What may be set, for each key its type, bounds, default and meaning; `cmfd.config` reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

ENV_ALLOW = (
    "CUDA_*", "FI_*", "GOMP_*", "HIP_*", "JAX_*", "KMP_*", "LANG", "LC_*", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "MKL_*", "MPICH_*", "NCCL_*", "NUMEXPR_*", "NVIDIA_*", "OMPI_MCA_btl*",
    "OMPI_MCA_coll*", "OMPI_MCA_hwloc*", "OMPI_MCA_io*", "OMPI_MCA_mpi_*", "OMPI_MCA_mtl*",
    "OMPI_MCA_osc*", "OMPI_MCA_pml*", "OMPI_MCA_rmaps*", "OMP_*", "OPENBLAS_*", "PATH",
    "PYTHONHASHSEED", "PYTHONPATH", "ROCR_*", "SLURM_*", "TF_*", "TORCH_*", "TZ", "UCX_*",
    "XLA_*",
)  # fmt: skip
"""Which variables an execution's environment shows unless `Settings.env_allow` says otherwise."""


def _default_node_dir() -> Path:
    return Path(f"/var/tmp/cmfd-{os.getuid()}")  # noqa: S108 - owner and mode: ensure_node_dir


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set, with each key's type, bounds, default and meaning."""

    node_dir: Annotated[
        Path,
        Meta(description="This user's directory on this node: local disk, never a shared one."),
    ] = msgspec.field(default_factory=_default_node_dir)
    journal_dir: Annotated[
        Path, Meta(description="Where processes keep their journals; default: node_dir/journals.")
    ] = msgspec.field(default_factory=Path)
    journal_limit_bytes: Annotated[
        int,
        Meta(ge=1 << 17, description="Size at which a journal starts to drop metric values."),
    ] = 1 << 30
    block_bytes: Annotated[
        int,
        Meta(ge=1 << 16, le=1 << 26, multiple_of=4096, description="Size of a journal's blocks."),
    ] = 1 << 18
    strict: Annotated[
        bool, Meta(description="Logging calls raise instead of warning once (for tests).")
    ] = False
    commit_interval_s: Annotated[
        float, Meta(gt=0, le=60, description="Longest the daemon gathers slices for one commit.")
    ] = 0.1
    flush_interval_s: Annotated[
        float, Meta(gt=0, le=60, description="How often a process sends what its journal has new.")
    ] = 0.25
    checkpoint_interval_s: Annotated[
        float, Meta(gt=0, description="How often a running job's records are published as a pack.")
    ] = 600.0
    seal_grace_s: Annotated[
        float,
        Meta(ge=0, description="How long a run's stragglers may take before it is sealed."),
    ] = 2.0
    idle_s: Annotated[
        float, Meta(ge=0, description="A daemon with nothing to do for this long ends; 0: never.")
    ] = 60.0
    retention_s: Annotated[
        float, Meta(ge=0, description="How long the node store keeps a run after its last pack.")
    ] = 86400.0
    autostart: Annotated[
        bool, Meta(description="`cmfd run` starts a daemon on this node if none runs.")
    ] = True
    site_index: Annotated[
        str,
        Meta(
            description="Where the index of a site that is made is: the address of a PostgreSQL "
            "database, postgresql://... Default: a file of the site."
        ),
    ] = ""
    site_incoming_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="What a site keeps of packs that were handed over and did not come whole "
            "yet; 0: no limit.",
        ),
    ] = 32 << 30
    site_quarantine_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="What it keeps of packs that were handed over and are none; 0: no limit.",
        ),
    ] = 4 << 30
    system: Annotated[
        bool,
        Meta(description="Each node has one daemon for all users, as a service: start no other."),
    ] = False
    system_site: Annotated[
        Path,
        Meta(
            description="Where that service publishes, whatever site a run names; {user}, {uid}, "
            "{account} and {cluster} are filled in. Default: none, and it does not start."
        ),
    ] = msgspec.field(default_factory=Path)
    system_readers: Annotated[
        tuple[str, ...],
        Meta(
            description="Groups that may read a site that the service makes, beside the user whose "
            "it is; {user} and {account} are filled in."
        ),
    ] = ()
    system_jobs: Annotated[
        bool,
        Meta(
            description="The service records each job that the Prolog announces, on each of its "
            "nodes, also where nothing logs."
        ),
    ] = True
    quota_clients: Annotated[
        int, Meta(ge=0, description="Processes of one user that the service serves; 0: no limit.")
    ] = 4096
    quota_bytes_per_s: Annotated[
        int, Meta(ge=0, description="What it takes in from one user per second; 0: no limit.")
    ] = 64 << 20
    quota_stored_bytes: Annotated[
        int,
        Meta(ge=0, description="What it keeps of one user at a time on a node; 0: no limit."),
    ] = 16 << 30
    auto_merge: Annotated[
        bool, Meta(description="`cmfd run` merges its packs into the site when it ends.")
    ] = True
    job_script: Annotated[
        bool,
        Meta(
            description="Job scripts are kept, secrets in them masked; otherwise only a digest "
            "of each."
        ),
    ] = False
    energy: Annotated[
        bool,
        Meta(description="The daemon counts the node's energy and says whose it was."),
    ] = True
    energy_interval_s: Annotated[
        float, Meta(ge=0.1, le=10, description="How often the counters are read at least.")
    ] = 5.0
    energy_bucket_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="How long the time is that one record is of.")
    ] = 60.0
    energy_sources: Annotated[
        tuple[str, ...],
        Meta(description="Sources of energy to prefer, best first; others follow as usual."),
    ] = ()
    energy_disabled: Annotated[
        tuple[str, ...], Meta(description="Sources of energy that are not used.")
    ] = ()
    energy_sysfs: Annotated[
        Path, Meta(description="Where counters are looked for: another place in a container.")
    ] = msgspec.field(default_factory=lambda: Path("/sys"))
    energy_idle_w: Annotated[
        float, Meta(ge=0, description="What a node draws when idle, GPUs aside; 0: not known.")
    ] = 0.0
    energy_max_w: Annotated[
        float, Meta(ge=0, description="What it draws when all cores are busy; 0: not known.")
    ] = 0.0
    energy_constant_w: Annotated[
        float, Meta(ge=0, description="What it draws, where nothing tells more; 0: not known.")
    ] = 0.0
    energy_ipmi_command: Annotated[
        tuple[str, ...],
        Meta(description="Prints the BMC's power; default: ipmi-dcmi or ipmitool, where found."),
    ] = ()
    energy_redfish_url: Annotated[
        str,
        Meta(description="Redfish of the BMC, as https://{node}-bmc: {node} is filled in."),
    ] = ""
    energy_redfish_credentials: Annotated[
        str, Meta(description="File, this user's alone, with a line `user:password` for it.")
    ] = ""
    energy_redfish_ca: Annotated[
        str, Meta(description="PEM file with the certificate that it shows.")
    ] = ""
    prometheus_textfile: Annotated[
        str,
        Meta(
            description="The daemon writes its figures there, as NAME.prom in the directory of a "
            "node exporter's textfile collector."
        ),
    ] = ""
    prometheus_listen: Annotated[
        str,
        Meta(
            description="Where the daemon answers for Prometheus: 127.0.0.1:PORT, [::1]:PORT or "
            "unix:/PATH; whoever can connect sees what runs on the node take."
        ),
    ] = ""
    env_allow: Annotated[
        tuple[str, ...],
        Meta(description="Variables to record with an execution, as shell patterns."),
    ] = ENV_ALLOW

    def __post_init__(self) -> None:
        """Put the journals under the node directory unless told where."""
        if self.journal_dir == Path():
            msgspec.structs.force_setattr(self, "journal_dir", self.node_dir / "journals")

    @property
    def own_journal_dir(self) -> Path:
        """Where this user's processes keep theirs: on a node with a service, apart from others'."""
        return self.journal_dir / str(os.getuid()) if self.system else self.journal_dir
