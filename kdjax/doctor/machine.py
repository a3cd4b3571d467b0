"""This machine: devices, versions, memory, limits, disks, clock, environment.

Each function takes the facts that it judges, and `examine_machine` collects them.
"""

import os
import pathlib
import platform
import shutil
import socket
import tempfile
import time

from kdjax.contracts import versions
from kdjax.data.prefetch import cores
from kdjax.data.tfds import file_limits
from kdjax.distributed.cluster_env import VARIABLES
from kdjax.distributed.devices import PROGRAMS
from kdjax.doctor import accelerators, disks, environment
from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.experiment.build import PACKAGES
from kdjax.reporting.files import in_bytes

REPORT = "Report it with this output."
SMALL, LITTLE = 1 << 30, 1 << 20  # bytes of memory
IMAGENET = 1088  # files that TFDS cuts it into
# Of launchers: how many processes a run has.
COUNTS = (VARIABLES["processes"], "WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
MEMINFO = pathlib.Path("/proc/meminfo")
CGROUP = pathlib.Path("/sys/fs/cgroup")
SHM = pathlib.Path("/dev/shm")


def examine_machine(paths: list[pathlib.Path]) -> Findings:
    """`paths` are what else is looked at: their disks are looked at too."""
    environ = os.environ
    yield ok("versions", _versions())
    yield from environment.examine_plugins(environment.plugins(), versions("jaxlib"))
    gpus = accelerators.gpus()
    facts = accelerators.probe()
    yield from accelerators.examine_devices(facts, gpus, accelerators.tpus(), environ)
    yield from accelerators.examine_drivers(gpus, environment.plugins())
    yield from environment.examine_variables(environ)
    yield from guarded("memory", REPORT, _memory)
    yield from examine_cores(cores(), os.cpu_count() or 1)
    yield from guarded("open files", REPORT, _open_files)
    if SHM.is_dir():
        yield from examine_shm(shutil.disk_usage(SHM).free, len(gpus))
    yield from guarded("host name", REPORT, _host_name)
    yield from examine_clock(time.time(), _newest([pathlib.Path(__file__), *paths]))
    programs = environ.get("JAX_COMPILATION_CACHE_DIR", PROGRAMS)
    yield from disks.examine_disk("temporary files", tempfile.gettempdir(), 1 << 28)
    yield from disks.examine_disk("compiled programs", programs, 1 << 28)
    yield from disks.examine_tmpdir(environ)
    for path in paths:
        yield from disks.examine_disk("disk", path, 1 << 30)


def _versions() -> str:
    installed = versions(*PACKAGES, "rich", "tensorflow-datasets", "grain")
    texts = [f"{name} {version}" for name, version in installed.items()]
    return ", ".join([f"Python {platform.python_version()}", *texts])


def _memory() -> Findings:
    if not MEMINFO.exists():
        return
    lines = (line.split(":") for line in MEMINFO.read_text().splitlines())
    free = {name: int(rest.split()[0]) << 10 for name, rest in lines}["MemAvailable"]
    limit = _number(CGROUP / "memory.max")
    if limit is not None:
        free = min(free, limit - (_number(CGROUP / "memory.current") or 0))
    yield from examine_memory(free, limit)


def _number(path: pathlib.Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdigit() else None


def examine_memory(free: int, limit: int | None) -> Findings:
    """Bytes that are available; of a container those up to its limit."""
    of = f" of the container's {in_bytes(limit)}" if limit else ""
    text = f"{in_bytes(max(free, 0))}{of} available"
    if free < SMALL:
        advice = (
            "End other processes, or raise the limit: one that asks for more is killed "
            "(SIGKILL, 137) without a word."
        )
        yield problem("memory", text, advice)
    else:
        yield ok("memory", text)


def examine_cores(usable: int, all_of_them: int) -> Findings:
    if usable < all_of_them:
        text = f"{usable} of {all_of_them} can be used: affinity or a container's quota"
        yield note("cores", text, "Ask for more where the input is the bottleneck.")
    else:
        yield ok("cores", f"all {usable} can be used")


def _open_files() -> Findings:
    if file_limits.resource is None:
        return
    limits = file_limits.resource.getrlimit(file_limits.resource.RLIMIT_NOFILE)
    unlimited = file_limits.resource.RLIM_INFINITY
    yield from examine_open_files(*(1 << 30 if n == unlimited else n for n in limits))


def examine_open_files(soft: int, hard: int) -> Findings:
    """kdjax raises the soft limit up to the hard one."""
    needed = IMAGENET + file_limits.OTHERS
    if hard < needed:
        text = f"a process may have {hard:,} of them; ImageNet takes {needed:,}"
        advice = f"Have the hard limit raised to {needed:,}: `ulimit -Hn` shows it."
        yield problem("open files", text, advice)
    else:
        yield ok("open files", f"{soft:,}, which kdjax may raise to {hard:,}")


def examine_shm(free: int, gpus: int) -> Findings:
    """NCCL passes data of GPUs of one host through it."""
    text = f"{in_bytes(free)} free"
    advice = "Start the container with --shm-size=8g or --ipc=host."
    if gpus > 1 and free < SMALL:
        yield problem(SHM, f"{text}, through which {gpus} GPUs pass data", advice)
    elif free < LITTLE:
        yield problem(SHM, text, advice)
    else:
        yield ok(SHM, text)


def _host_name() -> Findings:
    host = socket.gethostname()
    try:
        address = socket.gethostbyname(host)
    except OSError:
        address = ""
    yield from examine_host_name(host, address, _processes())


def _processes() -> int:
    counts = [os.environ.get(name, "") for name in COUNTS]
    return max(int(count) if count.isdecimal() else 1 for count in counts)


def examine_host_name(host: str, address: str, processes: int) -> Findings:
    """Whether the others find process 0 by the name of this host."""
    wrong = f"{host} resolves to {address or 'no address'}"
    if address and not address.startswith("127."):
        yield ok("host name", wrong)
    elif processes > 1:
        advice = "Give --coordinator the address that other hosts reach, and a port."
        text = f"{wrong}, and the run has {processes} processes"
        yield problem("host name", text, advice)
    else:
        yield ok("host name", f"{wrong}; a run of one process does not mind")


def examine_clock(now: float, newest: float) -> Findings:
    """`newest` is when the newest of some files was written, by its disk's clock."""
    if newest > now + 60:
        text = f"a file was written {newest - now:,.0f} s after now"
        advice = "Set the clock, here or on the file server: runs compare times."
        yield problem("clock", text, advice)
    else:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now))
        yield ok("clock", f"{stamp}, after all files that were looked at")


def _newest(paths: list[pathlib.Path]) -> float:
    """Of the paths and what lies directly in them, on this machine's disks."""
    here = [path for path in paths if isinstance(path, pathlib.Path)]
    inner = [one for path in here if path.is_dir() for one in path.iterdir()]
    return max(one.lstat().st_mtime for one in (*here, *inner) if one.exists())
