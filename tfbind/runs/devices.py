"""The devices of this machine, and the lock files by which runs share them. torch is not imported.

A slot is a lock file under `<home>/locks/`: one for each CPU core, one for each GPU. The operating system frees the
locks of a process that dies, however it dies.
"""

import contextlib
import ctypes
import importlib.util
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfbind.config import TrainConfig
from tfbind.errors import Setting, SettingsError
from tfbind.store import cpu_cores, plural


def available_devices() -> list[str]:
    """The devices that torch can train on here, the fastest first; `cpu` is always the last."""
    devices = ["cpu"]
    if _has_mps():
        devices.insert(0, "mps")
    if cuda_count():
        devices.insert(0, "cuda")
    return devices


def cuda_count() -> int:
    """How many NVIDIA GPUs the driver shows to this process, 0 where the installed torch was built without CUDA."""
    return driver_gpu_count()[0] if torch_has_cuda() else 0


def driver_gpu_count(load: Callable[[str], Any] = ctypes.CDLL) -> tuple[int, str]:
    """Count the GPUs that NVIDIA's driver shows to this process, whatever torch can do with them.

    Args:
        load: opens the library of the driver.

    Returns:
        The count, and in words why it is 0; "" where it is not.
    """
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return 0, "NVIDIA's driver is not installed: there is no libcuda.so.1"
    count, reason = ctypes.c_int(0), ctypes.c_char_p()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code:
        driver.cuGetErrorString(code, ctypes.byref(reason))
        return 0, f"NVIDIA's driver says: {(reason.value or b'unknown').decode()} (CUDA error {code})"
    return count.value, "" if count.value else "NVIDIA's driver shows no GPU to this process"


def torch_has_cuda() -> bool:
    """Whether the installed torch was built with CUDA."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return False
    version = Path(spec.submodule_search_locations[0]) / "version.py"
    return re.search(r"^cuda\b[^=]*= *['\"]", version.read_text(), re.MULTILINE) is not None


def _has_mps() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def resolve_device(config: TrainConfig) -> TrainConfig:
    """Replace the device `auto` and an unset number of threads of `config` by those of this machine.

    Raises:
        ValueError: the device asked for is not here.
    """
    available = available_devices()
    device = available[0] if config.device == "auto" else config.device
    if device not in available:
        raise SettingsError(
            Setting("device", "--device"), f" {device}: not on this machine; here: {', '.join(available)}"
        )
    return config.model_copy(update={"device": device, "threads": config.threads or cpu_cores()})


def describe_device(device: str, threads: int) -> str:
    """A device in words, such as `CPU, 2 threads`."""
    return f"CPU, {plural(threads, 'thread')}" if device == "cpu" else device.upper()


@contextlib.contextmanager
def slots(home: Path, device: str, threads: int) -> Iterator[list[int] | None]:
    """Lock the slots of a run: one for each of its threads on the CPU, or one GPU.

    Args:
        home: the folder whose `locks/` holds the lock files.
        device: `cpu`, `cuda` or `mps`.
        threads: the run's number of threads.

    Yields:
        The indices of the slots, or None when they are not free right now.
    """
    total = {"cpu": cpu_cores(), "cuda": cuda_count(), "mps": 1}[device]
    needed = min(threads, total) if device == "cpu" else 1
    folder = home / "locks"
    folder.mkdir(exist_ok=True)  # not its home, if that was moved meanwhile
    with contextlib.ExitStack() as stack:
        indices: list[int] = []
        for index in range(total):
            if len(indices) < needed and _try_lock(folder / f"{device}-{index}.lock", stack):
                indices.append(index)
        yield indices if len(indices) == needed else None


def _try_lock(path: Path, stack: contextlib.ExitStack) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    stack.callback(lock.release)
    return True
