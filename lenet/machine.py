"""The machine that computes: arithmetic, devices, cores, the processor."""

import os
import platform
import re
from pathlib import Path
from typing import Literal, get_args

Precision = Literal["float32", "float64", "bfloat16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
DEVICES = ("auto", "cpu", "gpu")
CPU_INFO = Path("/proc/cpuinfo")  # Linux only; elsewhere nothing is known


def physical_cores() -> int:
    """Return the number of physical cores that the process may use: hyper-threads share one core's multipliers.

    Where the system does not say which processors share a core, each counts as one.
    """
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]
    return len({path.read_text() if path.exists() else path for path in siblings})


def lacks_bfloat16() -> bool:
    """Return whether the processor is known to have no bfloat16 instructions, which makes bfloat16 slow.

    Linux lists them: avx512_bf16 or amx_bf16 (x86), bf16 (Arm).
    """
    words = CPU_INFO.read_text().split() if CPU_INFO.exists() else ["bf16"]
    return not {"avx512_bf16", "amx_bf16", "bf16"} & set(words)


def processor() -> str:
    """Return the processor's name, from Linux or else from Python."""
    match = re.search(r"model name\s*: (.+)", CPU_INFO.read_text()) if CPU_INFO.exists() else None
    return match[1] if match else platform.processor() or platform.machine()
