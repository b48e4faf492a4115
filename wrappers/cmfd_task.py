"""
What stands beside a program that cmfd-srun started: it records the program, and waits for it.

cmfd-srun forks the program and becomes this, so that the program is this process's child: only so
are its status, times and memory known exactly. It writes a journal (docs/journal.md) with what is
in the standard library and loads fast; whoever is killed here leaves a dead process's journal.

Nothing that goes wrong here changes how the program runs or ends.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time
import zlib

TYPE_CHECKING = False  # not of `typing`, which takes milliseconds
if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

BLOCK_BYTES = 1 << 18
FILE_HEADER_BYTES, BLOCK_HEADER_BYTES = 4096, 64
LONGEST_TEXT_BYTES = 8192
CANCELLING = (1, 2, 15)
TRIES = 5
DELIVERS_S = 90.0
"""How long delivering is waited for: it waits for each of its parts itself, unless it hangs."""
CLEARS_S = 1.0
"""How long locks may take to be cleared away: who does it may have been stopped."""
PASSED_ON = (1, 2, 3, 6, 10, 12, 14, 15, 18, 20, 23, 24, 26, 27, 28, 29, 30, *range(34, 65))
"""Of Linux: all that end, stop or tell a program something and are sent, not caused by itself."""

SECRET_WORDS = frozenset((
    "auth", "authorization", "bearer", "cookie", "cookies", "cred", "creds", "jwt", "keys", "pass",
    "passphrases", "passwords", "pat", "psk", "pw", "pwd", "secrets",
))  # fmt: skip
SECRET_ENDINGS = (
    "key", "token", "secret", "password", "passwd", "passphrase", "credential", "credentials",
)  # fmt: skip
SECRET_STARTS = (
    "-----BEGIN ", "eyJ", "ghp_", "gho_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "hf_",
    "sk-", "sk_live_", "xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "AKIA", "ASIA", "AIza",
    "MUNGE:",
)  # fmt: skip
MASK = "***"

KINDS = (
    "dataset", "model", "checkpoint", "metrics", "dataslice", "environment", "hdf5-dataset",
    "label", "other",
)  # fmt: skip
"""As `cmfd.model.ArtifactKind`; a test compares them."""

FIRST, OTHER, LAST = b"0", b"+", b"."
"""What the task of rank 0 leaves in its step's lock, what the others, and the last at its end."""

FACTS = (
    ("slurm.job_name", "text", "SLURM_JOB_NAME"),
    ("slurm.partition", "text", "SLURM_JOB_PARTITION"),
    ("slurm.account", "text", "SLURM_JOB_ACCOUNT"),
    ("slurm.qos", "text", "SLURM_JOB_QOS"),
    ("slurm.reservation", "text", "SLURM_JOB_RESERVATION"),
    ("slurm.nodes", "whole", "SLURM_JOB_NUM_NODES", "SLURM_NNODES"),
    ("slurm.node_list", "text", "SLURM_JOB_NODELIST", "SLURM_NODELIST"),
    ("slurm.cpus", "cpus", "SLURM_JOB_CPUS_PER_NODE"),
    ("slurm.cpus_per_task", "whole", "SLURM_CPUS_PER_TASK"),
    ("slurm.gpus", "text", "SLURM_GPUS"),
    ("slurm.gpu_ids", "text", "SLURM_JOB_GPUS"),
    ("slurm.gpus_on_node", "whole", "SLURM_GPUS_ON_NODE"),
    ("slurm.memory_per_node_bytes", "megabytes", "SLURM_MEM_PER_NODE"),
    ("slurm.memory_per_cpu_bytes", "megabytes", "SLURM_MEM_PER_CPU"),
    ("slurm.start_time_s", "whole", "SLURM_JOB_START_TIME"),
    ("slurm.limit_end_time_s", "whole", "SLURM_JOB_END_TIME"),
    ("slurm.submit_dir", "text", "SLURM_SUBMIT_DIR"),
    ("slurm.submit_host", "text", "SLURM_SUBMIT_HOST"),
    ("slurm.array_job", "whole", "SLURM_ARRAY_JOB_ID"),
    ("slurm.array_task", "whole", "SLURM_ARRAY_TASK_ID"),
    ("slurm.array_tasks", "whole", "SLURM_ARRAY_TASK_COUNT"),
    ("slurm.dependency", "text", "SLURM_JOB_DEPENDENCY"),
    ("slurm.het_job", "whole", "SLURM_HET_JOB_ID"),
    ("slurm.het_components", "whole", "SLURM_HET_SIZE"),
)
"""As `cmfd.slurm.facts`; a test compares them."""

LAUNCHERS = (
    ("LOCAL_RANK", "RANK", ("WORLD_SIZE",), ("LOCAL_RANK",)),
    (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_RANK",
        ("OMPI_COMM_WORLD_SIZE",),
        ("OMPI_COMM_WORLD_LOCAL_RANK",),
    ),
    (
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_RANK",
        ("MV2_COMM_WORLD_SIZE",),
        ("MV2_COMM_WORLD_LOCAL_RANK",),
    ),
    (
        "PMI_RANK",
        "PMI_RANK",
        ("PMI_SIZE",),
        ("MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "SLURM_LOCALID"),
    ),
    ("PMIX_RANK", "PMIX_RANK", ("SLURM_STEP_NUM_TASKS",), ("SLURM_LOCALID",)),
    ("PALS_RANKID", "PALS_RANKID", (), ("PALS_LOCAL_RANKID",)),
    ("FLUX_TASK_RANK", "FLUX_TASK_RANK", ("FLUX_JOB_SIZE",), ("FLUX_TASK_LOCAL_ID",)),
    (
        "SLURM_STEP_ID",
        "SLURM_PROCID",
        ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
        ("SLURM_LOCALID",),
    ),
    ("RANK", "RANK", ("WORLD_SIZE",), ()),
)
"""As `cmfd.client.ranks`; a test compares them."""


class Order:
    """What cmfd-srun says: as what the program is recorded, and where."""

    def __init__(self, argv: list[str]) -> None:
        self.app = int(argv[0])
        self.began_ns = int(argv[1])
        self.instance = bytes.fromhex(argv[2])
        self.step, self.parent, self.name = argv[3:6]
        self.journal_dir, self.deliver = argv[6:8]
        self.system, self.autostart = (word == "yes" for word in argv[8:10])
        count = int(argv[10])
        self.params = argv[11 : 11 + count]
        argv = argv[11 + count :]
        count = int(argv[0])
        self.files = argv[1 : 1 + count]
        self.program = argv[1 + count :]
        self.run = bytes.fromhex(os.environ["CMFD_RUN"])
        self.execution = bytes.fromhex(os.environ["CMFD_EXECUTION"])
        self.node_dir = os.environ["CMFD_NODE_DIR"]
        kind, _, number = self.step.partition(":")
        self.is_numbered = kind == "slurm" and number.isdecimal()
        """A step of SLURM's; not the batch script or what a user types, which start many things."""
        self.is_launch = self.is_numbered or kind == "mpi"
        """All tasks of the step are this program; else each is one by itself."""


# -- records ------------------------------------------------------------------------------------


def packed(value: object) -> bytes:
    """Return a value in MessagePack."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return b"\xc4" + bytes((len(value),)) + value
    text = str(value).encode("utf-8", "backslashreplace")[:LONGEST_TEXT_BYTES]
    text = text.decode("utf-8", "ignore").encode()
    return b"\xda" + struct.pack(">H", len(text)) + text


def record(tag: str, at_ns: int, **fields: object) -> bytes:
    """Return an event record as it stands in its block."""
    fields = {"t": tag, "at_ns": at_ns, **fields}
    words = b"".join(packed(key) + packed(value) for key, value in fields.items())
    payload = b"\xde" + struct.pack(">H", len(fields)) + words
    whole = struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    return whole + bytes(-len(whole) % 8)


def headed(head: bytes, room: int) -> bytes:
    """Return a header with its checksum, and zeros up to its room."""
    return (head + struct.pack("<I", zlib.crc32(head))).ljust(room, b"\0")


def headers(order: Order) -> bytes:
    """Return what a journal begins with: its header, and that of its only block."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = bytes.fromhex(file.read().strip().replace("-", ""))
    numbers = struct.pack("<IIq", os.getuid(), os.getpid(), order.began_ns)
    sizes = struct.pack("<HHI", 1, FILE_HEADER_BYTES, BLOCK_BYTES)
    head = b"CMFDJRNL" + sizes + order.instance + boot + numbers
    block = b"CMFB" + struct.pack("<IIII", 1, 1, 1, 0)
    return headed(head, FILE_HEADER_BYTES) + headed(block, BLOCK_HEADER_BYTES)


def first_records(
    order: Order, rank: int, size: int, local_rank: int, role: str = "wrapper"
) -> bytes:
    """Return what every process says first: its run, its execution, itself."""
    environ, at_ns = os.environ, order.began_ns
    cluster, job, restart = job_of(environ)
    run = record(
        "run", at_ns, run=order.run, cluster=cluster, job=job, restart=restart,
        user=environ.get("USER") or environ.get("LOGNAME") or str(os.getuid()),
        name=order.name, command=" ".join(scrubbed(order.program)), cwd=working_directory(),
        site=environ["CMFD_SITE"],
    )  # fmt: skip
    parent = {"parent": bytes.fromhex(order.parent)} if order.parent else {}
    execution = record(
        "execution", at_ns, execution=order.execution, run=order.run, step=order.step,
        pipeline=environ["CMFD_PIPELINE"], stage=environ["CMFD_STAGE"], **parent,
    )  # fmt: skip
    process = record(
        "process", at_ns, execution=order.execution, rank=rank, size=size, local_rank=local_rank,
        host=environ.get("SLURMD_NODENAME") or os.uname().nodename.partition(".")[0],
        pid=os.getpid(), role=role,
    )  # fmt: skip
    return run + execution + process


def working_directory() -> str:
    """Return the working directory, or nothing if it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def job_of(environ: os._Environ[str]) -> tuple[str, str, int]:
    """Return cluster, job as users name it, and restart count; as `cmfd.slurm.job_from`."""
    number = environ.get("SLURM_HET_JOB_ID") or environ.get("SLURM_JOB_ID") or ""
    if not number:
        return "", "", 0
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    restart = environ.get("SLURM_RESTART_COUNT") or environ.get("SLURM_JOB_RESTART_COUNT", "")
    name = array + "_" + task if array and task else number
    return environ.get("SLURM_CLUSTER_NAME", ""), name, whole(restart) or 0


def whole(text: str) -> int | None:
    """Read a whole number; nothing else."""
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 19 else None


def cpus(text: str) -> int | None:
    """Add up what SLURM writes as ``16(x2),8``."""
    total = 0
    for part in text.split(","):
        each, _, times = part.rstrip(")").partition("(x")
        if not each.isdecimal() or not (times or "1").isdecimal():
            return None
        total += int(each) * int(times or 1)
    return total


def megabytes(text: str) -> int | None:
    """Read megabytes, in bytes."""
    return int(text) << 20 if text.isdecimal() and len(text) < 12 else None


def facts(order: Order) -> bytes:
    """Return what SLURM's variables say of the job and of this step."""
    environ = os.environ
    _, job, restart = job_of(environ)
    if not job:
        return b""
    known: list[tuple[bytes, str, object]] = [
        (order.run, "slurm.job", job), (order.run, "slurm.restart", restart),
    ]  # fmt: skip
    readers: dict[str, Callable[[str], object]] = {
        "text": str,
        "whole": whole,
        "cpus": cpus,
        "megabytes": megabytes,
    }
    for key, kind, *names in FACTS:
        text = next((environ[name] for name in names if environ.get(name)), "")
        known.append((order.run, key, readers[kind](text) if text else None))
    if order.is_numbered:
        tasks = environ.get("SLURM_STEP_NUM_TASKS", "")
        nodes = environ.get("SLURM_STEP_NODELIST")
        known.append((order.execution, "slurm.step_nodes", nodes))
        known.append((order.execution, "slurm.step_tasks", whole(tasks)))
    return b"".join(
        record(
            "fact", order.began_ns, subject=subject, key=key,
            type="str" if isinstance(value, str) else "int", value=value,
        )
        for subject, key, value in known
        if value is not None
    )  # fmt: skip


def params(order: Order) -> bytes:
    """Return the parameters, each of which is JSON if it can be, else text."""
    if not order.params:
        return b""
    import json

    said = []
    for word in order.params:
        key, _, text = word.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        kinds = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}
        kind = kinds.get(type(value), "json")
        if kind == "json" or (kind == "int" and not -(1 << 63) <= value < 1 << 63):
            kind, value = "json", text
        if kind == "float" and value != value:  # noqa: PLR0124 - as it is stored
            value = "NaN"
        said.append(
            record(
                "param", order.began_ns, execution=order.execution, key=key, type=kind, value=value
            )
        )
    return b"".join(said)


def touches(order: Order, wanted: str) -> bytes:
    """Return what the step reads or writes, as it is now; who delivers reads what is in it."""
    said = []
    for token, text in enumerate(order.files, 1):
        direction, _, path = text.partition(":")
        if direction == wanted:
            said.append(touch(order, token, direction, named(path)))
    return b"".join(said)


def named(text: str) -> tuple[str, str, str]:
    """Read ``[KIND:]PATH[::DATA SET]``: kind, path, data set; as `cmfd.client.artifacts.Said`."""
    if os.path.lexists(text):
        return "dataset", text, ""
    kind, colon, rest = text.partition(":")
    if colon and kind in KINDS and rest and not rest.startswith(":"):
        if os.path.lexists(rest):
            return kind, rest, ""
        return (kind, *named(rest)[1:])
    path, _, inside = text.partition("::")
    return ("dataset", path, inside) if path and inside else ("dataset", text, "")


def touch(order: Order, token: int, direction: str, what: tuple[str, str, str]) -> bytes:
    """Return the record of one file or directory, or of a data set inside a file."""
    kind, path, inside = what
    absolute = os.path.normpath(os.path.join(working_directory(), path))
    try:
        found = os.stat(absolute)
        size_bytes, mtime_ns = found.st_size, found.st_mtime_ns
    except OSError:
        size_bytes, mtime_ns = -1, -1
    if inside:
        kind, inside = "hdf5-dataset", "::/" + inside.strip("/")
    return record(
        "touch", time.time_ns(), token=token, execution=order.execution, direction=direction,
        kind=kind, path=path + inside, absolute=absolute + inside, size_bytes=size_bytes,
        mtime_ns=mtime_ns,
    )  # fmt: skip


# -- the command line, without secrets ----------------------------------------------------------


def is_secret_name(name: str) -> bool:
    """Tell whether what goes by this name is probably a secret; as `cmfd.client.redact`."""
    words, word = [], ""
    for character in name:
        starts = character.isupper() and word[-1:].islower()
        if not character.isalnum() or starts:
            words.append(word.lower())
            word = ""
        word += character if character.isalnum() else ""
    words.append(word.lower())
    return any(word in SECRET_WORDS or word.endswith(SECRET_ENDINGS) for word in words)


def holds_secret(text: str) -> bool:
    """Tell whether a text has a secret's looks, or a secret's name followed by something."""
    if any(start in text for start in SECRET_STARTS):
        return True
    if "@" in text.partition("://")[2]:
        return True
    parts = text.replace("=", " ").replace(":", " ").split()
    return any(is_secret_name(part) for part in parts[:-1] if "/" not in part)


def scrubbed(argv: list[str]) -> list[str]:
    """Mask what looks like a secret; in doubt the whole of an argument."""
    said = []
    masks_next = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        named = is_secret_name(name) and not any(mark in name for mark in " /\t\n")
        if masks_next and not argument.startswith("--"):
            said.append(MASK)
            named = False
        elif named and equals:
            said.append(name + "=" + MASK)
        else:
            said.append(MASK if holds_secret(argument) else argument)
        masks_next = named and not equals and argument.startswith("-")
    return said


# -- the task -----------------------------------------------------------------------------------


def rank_of(environ: os._Environ[str]) -> tuple[int, int, int]:
    """Return rank, size and local rank, as the nearest launcher says."""

    def first(names: tuple[str, ...]) -> int | None:
        texts = (environ.get(name, "") for name in names)
        return next((int(text) for text in texts if text.isdecimal()), None)

    for needs, name, size_names, local_names in LAUNCHERS:
        rank, size = first((name,)), first(size_names)
        if needs in environ and rank is not None and (size is None or rank < size):
            return rank, size or rank + 1, first(local_names) or 0
    return 0, 1, 0


def warn(text: str) -> None:
    """Say something on the task's standard error, if it has one."""
    try:
        os.write(2, ("cmfd: " + text + "\n").encode("utf-8", "replace"))
    except OSError:
        pass


class Task:
    """
    The program as a task, in a journal.

    Parameters
    ----------
    order : Order
        As what, and where.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self._journal = -1
        self._step_lock = -1

    def begin(self) -> None:
        """Record what runs; raises OSError."""
        order = self.order
        rank, size, local_rank = rank_of(os.environ)
        is_first = local_rank == 0 if order.system else True
        for left in range(TRIES, -1, -1):
            try:
                if not order.system:
                    self._make_directories()
                self._make_journal()
                if not order.system:
                    is_first = self._join_step(rank)
                break
            except FileNotFoundError:  # another step's end cleared the directory just now
                if not left:
                    raise
        said = headers(order) + first_records(order, rank, size, local_rank)
        if rank == 0 or not order.is_launch:
            said += params(order) + touches(order, "input")
        if is_first:
            said += facts(order)
        self._write(said)
        if is_first and order.autostart and not order.system:
            self._start_daemon()

    def _make_journal(self) -> None:
        if self._journal >= 0:
            return
        path = self.order.journal_dir + "/" + self.order.instance.hex() + ".cmfj"
        mode = 0o640 if self.order.system else 0o600
        self._journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _make_directories(self) -> None:
        """Make this user's directories on this node, or see that they are the user's alone."""
        order = self.order
        for path in (order.node_dir, order.journal_dir, order.node_dir + "/steps"):
            try:
                os.makedirs(path, 0o700)
            except FileExistsError:
                pass
        found = os.lstat(order.node_dir)
        if found.st_uid != os.geteuid() or found.st_mode & 0o170022 != 0o040000:
            raise PermissionError(1, "it is not this user's alone")

    def _join_step(self, rank: int) -> bool:
        """Hold the step's lock on this node; tell whether nobody did so before."""
        key = "".join(c if c.isalnum() else "-" for c in self.order.step or "none")
        path = self.order.node_dir + "/steps/" + self.order.run.hex() + "." + key
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        while True:
            try:
                lock, is_first = os.open(path, flags | os.O_EXCL, 0o600), True
            except FileExistsError:
                lock, is_first = os.open(path, flags, 0o600), False
            fcntl.flock(lock, fcntl.LOCK_SH)
            try:
                if os.path.samestat(os.fstat(lock), os.stat(path)):
                    break
            except FileNotFoundError:
                pass
            os.close(lock)  # another step's end cleared it away before it was locked
        self._step_lock = lock
        os.write(self._step_lock, OTHER if rank else FIRST)
        return is_first

    def forget(self) -> None:
        """Record nothing more, and leave what there is to the next who looks."""
        if self._journal >= 0:
            # Said, for what was forked to start the daemon may not have closed it yet.
            fcntl.flock(self._journal, fcntl.LOCK_UN)
            os.close(self._journal)
        self._journal = -1

    def _write(self, said: bytes) -> None:
        while said:
            said = said[os.write(self._journal, said) :]

    def _start_daemon(self) -> None:
        """Have the daemon started in the background, with none of this task's files."""
        if not self.order.deliver:
            warn(
                "no program cmfd is in PATH or CMFD_COMMAND: what is recorded stays in "
                + self.order.node_dir + " until `cmfd merge` takes it"
            )  # fmt: skip
            return
        handed_down = ("CMFD_RUN", "CMFD_EXECUTION", "CMFD_PIPELINE", "CMFD_STAGE", "CMFD_SITE")
        environ = {key: os.environ[key] for key in os.environ if key not in handed_down}
        if os.fork():
            return  # it is not waited for: not its times, but the program's are measured
        try:
            os.setsid()
            start(self.order.deliver, ["daemon", "--detach", "--if-needed"], environ)
        finally:
            os._exit(127)

    def end(self, status: int, used: resource.struct_rusage) -> None:
        """Record how the program ended."""
        if self._journal < 0:
            return
        said, how = outcome(status)
        # With a service nobody knows who is the last; what is no launch is its own last.
        alone = not self.order.is_launch
        if alone or (self.order.system and rank_of(os.environ)[0] == 0):
            self._write(touches(self.order, "output"))
        self._write(
            record(
                "process-state", time.time_ns(), execution=self.order.execution,
                status=said,
                cpu_user_ns=round(used.ru_utime * 1e9), cpu_system_ns=round(used.ru_stime * 1e9),
                max_rss_bytes=used.ru_maxrss * 1024, **how,
            )
        )  # fmt: skip

    def leave(self, status: int) -> None:
        """
        Let go of the journal; the last task of the step on this node has it all delivered.

        Where the job's end does that for all of its steps, it may not come to it if the job is
        being ended: then the last task does it after all, if its program was killed.
        """
        self.forget()
        begun = b"" if self._step_lock < 0 else self._begun_if_last()
        if not begun:
            return
        if self.order.is_launch and FIRST in begun:
            self._tell_of_outputs(status)
        if not self.order.deliver:
            return
        by_job = os.environ.get("CMFD_DELIVER")
        if by_job == "job" or (by_job == "job-unless-killed" and not os.WIFSIGNALED(status)):
            return
        said, ear = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                start(self.order.deliver, ["slurm", "deliver"], dict(os.environ), errors=ear)
            finally:
                os._exit(127)
        os.close(ear)
        text = heard(said)
        if text is None:
            warn("delivering takes too long, and is not waited for: `cmfd slurm status` tells more")
        elif os.waitpid(pid, 0)[1]:
            lines = text.splitlines() or ["cmfd slurm deliver cannot be started"]
            warn(lines[-1].replace("cmfd: ", "", 1))

    def _tell_of_outputs(self, status: int) -> None:
        """
        Record what the step has written, where its rank 0 was: once a step, not once a node.

        The journals of its tasks are closed by now, and this is a process of its own.
        """
        order = self.order
        said = touches(order, "output")
        if not said:
            return
        order.instance, order.began_ns = os.urandom(16), time.time_ns()
        self._make_journal()
        here = first_records(order, *rank_of(os.environ), role="worker")
        state = record(
            "process-state", time.time_ns(), execution=order.execution,
            status=outcome(status)[0],
        )  # fmt: skip
        self._write(headers(order) + here + said + state)
        self.forget()

    def _begun_if_last(self) -> bytes:
        """
        Return what the step's tasks left on this node, if all have begun and this is the last.

        It says so in the lock while nobody else can, since two may let go of it at the same time.
        """
        lock, steps = self._step_lock, self._hold_steps()
        try:
            fcntl.flock(lock, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return b""
        finally:
            os.close(steps)
        begun = os.pread(lock, 1 << 16, 0).rpartition(LAST)[2]
        is_last = len(begun) >= tasks_here(os.environ)
        if is_last:
            os.write(lock, LAST)
        fcntl.flock(lock, fcntl.LOCK_UN)  # one that only begins must not wait
        return begun if is_last else b""

    def _hold_steps(self) -> int:
        """Have nobody clear away locks that are let go of for a moment; returns a descriptor."""
        steps = os.open(self.order.node_dir + "/steps", os.O_RDONLY)
        until_s = time.monotonic() + CLEARS_S
        while time.monotonic() < until_s:
            try:
                fcntl.flock(steps, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.001)
        return steps


def outcome(status: int) -> tuple[str, dict[str, int]]:
    """Return how a program ended, in a word and in numbers."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "cancelled" if number in CANCELLING else "failed", {"signal": number}
    return "failed" if status else "completed", {"exit_code": os.WEXITSTATUS(status)}


def heard(pipe: int) -> str | None:
    """Return all that comes through a pipe, and close it; nothing if that takes too long."""
    import select

    data, until_s = b"", time.monotonic() + DELIVERS_S
    try:
        while select.select([pipe], [], [], max(0.0, until_s - time.monotonic()))[0]:
            more = os.read(pipe, 1 << 16)
            if not more:
                return data.decode("utf-8", "replace")
            data += more
    finally:
        os.close(pipe)
    return None


def tasks_here(environ: os._Environ[str]) -> int:
    """Return how many tasks of the launch this node has, at least."""
    local_sizes = (
        "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE",
        "LOCAL_WORLD_SIZE",
    )  # fmt: skip
    for name in local_sizes:
        if environ.get(name, "").isdecimal():
            return int(environ[name])
    node = environ.get("SLURM_NODEID", "")
    if "SLURM_STEP_ID" not in environ or not node.isdecimal():
        return 1
    left = int(node)
    for part in environ.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):  # 4(x2),3
        tasks, _, nodes = part.rstrip(")").partition("(x")
        if not tasks.isdecimal() or not (nodes or "1").isdecimal():
            return 1
        left -= int(nodes or 1)
        if left < 0:
            return int(tasks)
    return 1


def start(program: str, words: list[str], environ: dict[str, str], errors: int = -1) -> None:
    """Become a program of cmfd's with none of the task's files; what it says goes nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, null), (1, null), (2, null if errors < 0 else errors)):
        os.dup2(source, target)
    os.closerange(3, 1 << 16)
    os.chdir("/")
    os.execve(program, [program, *words], environ)


def leave_as(status: int) -> None:
    """End as the program ended: with its exit code, or by its signal."""
    if os.WIFSIGNALED(status):
        import signal

        number = os.WTERMSIG(status)
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # one that cannot be caught
        os.kill(os.getpid(), number)
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))


def is_signalled_alone() -> bool:
    """
    Tell whether SLURM signals this process and not the program.

    Where control groups track processes, a signal goes to what SLURM started itself, and to nothing
    that this started. Elsewhere it goes to all processes of the step.
    """
    try:
        with open("/proc/" + str(os.getppid()) + "/comm", encoding="utf-8") as file:
            if not file.read().startswith("slurmstepd"):
                return False
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            groups = [line.split(":", 2)[1:] for line in file]
    except (OSError, ValueError):
        return False
    return any("/step_" in path for kinds, path in groups if kinds in {"", "freezer"})


def pass_on(app: int) -> None:
    """Have the program hear what only this process is sent; of none, 0, nothing is heard."""
    import _signal  # type: ignore[import-not-found] # `signal` takes milliseconds

    def hear(number: int, _frame: object) -> None:
        try:
            os.kill(app, number)
        except OSError:
            pass  # a program with other rights may not be signalled

    for number in PASSED_ON:
        try:
            _signal.signal(number, hear if app else _signal.SIG_IGN)
        except (OSError, ValueError):
            pass  # one that this system does not have


def main() -> None:
    """Record the program, wait for it, and end as it ends."""
    order = Order(sys.argv[1:])
    passes_on = is_signalled_alone()
    if passes_on:
        pass_on(order.app)
    task = Task(order)
    try:
        task.begin()
    except Exception as error:  # noqa: BLE001 - the program runs on, whatever it is
        warn(order.journal_dir + " cannot be used: this task is not recorded: " + str(error))
        task.forget()
    if passes_on:
        os.waitid(os.P_PID, order.app, os.WEXITED | os.WNOWAIT)  # its number is no other's yet
        pass_on(0)
    _, status, used = os.wait4(order.app, 0)
    try:
        task.end(status, used)
    except Exception as error:  # noqa: BLE001 - it ends as the program ended
        warn("how the program ended is not recorded: " + str(error))
    try:
        task.leave(status)
    except Exception as error:  # noqa: BLE001 - as above
        warn("what was recorded is not delivered: " + str(error))
    leave_as(status)
