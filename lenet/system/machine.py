"""The machine that computes: arithmetic, devices, cores, memory, the processor."""

import contextlib
import ctypes
import logging
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from lenet.errors import UserError, is_memory_full

Precision = Literal["float32", "float64", "bfloat16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
DEVICES = ("auto", "cpu", "gpu")
# Linux only; elsewhere nothing is known.
CPU_INFO = Path("/proc/cpuinfo")
OWN_CGROUPS = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose_device(wanted: str, finds_gpu: Callable[[], bool], framework: str) -> str:
    """Return cpu or gpu for auto, cpu or gpu; UserError if there is no GPU and one is wanted. cpu looks for none."""
    if wanted not in DEVICES:
        raise UserError(f"there is no device '{wanted}', only {', '.join(DEVICES)}")
    if wanted == "cpu":
        return "cpu"
    found = finds_gpu()
    if wanted == "gpu" and not found:
        raise UserError(f"{framework} finds no GPU that it can use (see docs/gpu.md); leave --device out")
    return "gpu" if found else "cpu"


def default_threads() -> int:
    """Return the number in OMP_NUM_THREADS, or else that of the cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # the others are of nested loops
    return int(wanted) if re.fullmatch("[1-9][0-9]{0,3}", wanted) else cores()


def cores() -> int:
    """Return how many cores the process may use: at most its quota, and two hyper-threads are one core.

    Where the system does not say which processors share a core, each counts as one.
    """
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]
    physical = len({path.read_text() if path.exists() else path for path in siblings})
    return max(1, math.floor(min(physical, quota())))


def quota() -> float:
    """Return how many processors' time a container may use: the least quota of its cgroup and of those above it.

    cgroup v2 has "<quota or max> <period>" in cpu.max, v1 two files; both in microseconds.
    """
    folders = []
    for line in OWN_CGROUPS.read_text().splitlines() if OWN_CGROUPS.exists() else []:
        _, controllers, name = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            group = PurePosixPath(name).relative_to("/")
            folders += [CGROUPS / ("cpu" if controllers else "") / each for each in (group, *group.parents)]
    return min(map(_quota_of, folders), default=math.inf)


def _quota_of(folder: Path) -> float:
    try:
        if (folder / "cpu.max").exists():
            limit, period = map(int, (folder / "cpu.max").read_text().split())
        else:
            limit, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf
    return limit / period if limit > 0 else math.inf


def lacks_bfloat16() -> bool:
    """Return whether the processor is known to have no bfloat16 instructions, which makes bfloat16 slow.

    Linux lists them: avx512_bf16 or amx_bf16 (x86), bf16 (Arm).
    """
    words = CPU_INFO.read_text().split() if CPU_INFO.exists() else ["bf16"]
    return not {"avx512_bf16", "amx_bf16", "bf16"} & set(words)


def lacks_avx() -> bool:
    """Return whether the processor is known to have no AVX, without which TensorFlow ends the process."""
    flags = re.search(r"^flags\s*: (.+)", CPU_INFO.read_text(), re.MULTILINE) if CPU_INFO.exists() else None
    return flags is not None and "avx" not in flags[1].split()


def processor() -> str:
    """Return the processor's name, from Linux or else from Python."""
    match = re.search(r"model name\s*: (.+)", CPU_INFO.read_text()) if CPU_INFO.exists() else None
    return match[1] if match else platform.processor() or platform.machine()


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, up to 1 GiB: a step frees what the next one takes again.

    By default it gives large arrays back to Linux after every step, which clears them before it lends them again: up to
    a third of a step.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 25)  # the most that glibc allows


@contextlib.contextmanager
def memory_errors(batch_size: int) -> Iterator[None]:
    """Turn what NumPy and the frameworks raise when the memory is full into a UserError."""
    try:
        yield
    except Exception as error:
        if not is_memory_full(error):
            raise
        text = f"not enough memory for {batch_size} images at once; choose a smaller --batch_size"
        raise UserError(text, exit_code=1) from None


@contextlib.contextmanager
def importing(package: str) -> Iterator[None]:
    """While a package is imported: UserError if it finds no folder for temporary files; no warnings from then on."""
    logging.getLogger(package).setLevel(logging.ERROR)
    try:
        yield
    except OSError as error:
        if "temporary" not in str(error):
            raise
        advice = "set the environment variable TMPDIR to a folder that can be written"
        raise UserError(f"{package} cannot be imported: {error.strerror or error}; {advice}") from None
