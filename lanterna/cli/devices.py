"""What to compute on, told without torch: to import it takes seconds."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["cores", "devices"]

# Where NVIDIA's driver shows itself: Linux, Linux inside Windows.
_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/usr/lib/wsl/lib/libcuda.so.1"))


def devices() -> list[str]:
    """The devices that the installed torch should find here: those it has code for and the system a driver."""
    return ["cpu", *(["cuda"] if _cuda() else []), *(["mps"] if _metal() else [])]


def _cuda() -> bool:
    if "+cpu" in metadata.version("torch") or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    windows = Path(os.environ.get("SYSTEMROOT", "/nowhere"), "System32", "nvcuda.dll")
    return sys.platform != "darwin" and any(driver.exists() for driver in (*_DRIVERS, windows))


def _metal() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def cores() -> int:
    """Threads that torch computes with unless --threads says otherwise: OMP_NUM_THREADS, else the cores it may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
