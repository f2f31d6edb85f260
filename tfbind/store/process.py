"""Processes: identity and liveness, signal handlers, CPU, memory and GPU use."""

import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import psutil

FRESH_SECONDS = 60  # on another host a process counts as alive for so long after its last heartbeat
AHEAD_SECONDS = 300  # and so far its clock may be ahead, as Kerberos lets those of hosts that work together


class Busy(ValueError):
    """Another process works on the job, or is about to."""


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process: `pid` and `process_started` (seconds since 1970) name it on `host`; `heartbeat` is its last sign.

    `booted` is when the host started, as its clock said then: what older versions wrote has none.
    """

    pid: int
    process_started: float
    host: str
    heartbeat: float
    booted: float | None = None

    @property
    def owner(self) -> "ProcessIdentity":
        """Itself: a state that is kept together with its owner is one."""
        return self

    def owned_by(self, owner: "ProcessIdentity") -> Self:
        """The same with another owner."""
        return replace(self, **asdict(owner))

    @property
    def here(self) -> bool:
        """Whether it is, or was, on this host."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process still runs; a zombie does not."""
        if not self.here:
            return -AHEAD_SECONDS < time.time() - self.heartbeat < FRESH_SECONDS
        try:
            process = psutil.Process(self.pid)
            # Linux reckons both times from now: they move together when the clock is set, also by parts of a second.
            set_by = 0.0 if self.booted is None else psutil.boot_time() - self.booted
            since = process.create_time() - self.process_started
            same = min(abs(since), abs(since - set_by)) < 2
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process ever had such a number
            return False


def this_process() -> ProcessIdentity:
    """The identity of the calling process."""
    return identify_process(psutil.Process())


def identify_process(process: psutil.Process) -> ProcessIdentity:
    """The identity of a process that runs on this host."""
    started, booted = process.create_time(), psutil.boot_time()
    return ProcessIdentity(
        pid=process.pid, process_started=started, host=socket.gethostname(), heartbeat=time.time(), booted=booted
    )


@contextmanager
def handle_signals(callback: Callable[[], object]) -> Iterator[None]:
    """Call `callback` on SIGTERM and SIGINT instead of their handlers; no effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(_signal: int, _frame: object) -> None:
        callback()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def raise_keyboard_interrupt() -> None:
    """Raise KeyboardInterrupt as Ctrl-C does: a callback for `handle_signals`, so that SIGTERM does the same."""
    raise KeyboardInterrupt


def cpu_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class ProcessMeter:
    """CPU and memory use of the process it is made in."""

    _process: psutil.Process = field(default_factory=psutil.Process)
    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=time.process_time)

    def read(self) -> dict[str, Any]:
        """`cores` in use on average since the last reading, and `memory` in bytes."""
        wall, cpu = time.monotonic(), time.process_time()
        cores = (cpu - self._cpu) / max(wall - self._wall, 1e-3)
        self._wall, self._cpu = wall, cpu
        return {"cores": round(cores, 2), "memory": self._process.memory_info().rss}


class GpuMeter:
    """GPU utilisation, read from NVIDIA's driver.

    Args:
        ordinal: which of the GPUs that CUDA shows to this process.
        load: opens a library of the driver; `libnvidia-ml` is NVML, documented at docs.nvidia.com/deploy/nvml-api.
    """

    def __init__(self, ordinal: int, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        self.ordinal = ordinal
        self._handle = ctypes.c_void_p()
        try:
            self._nvml = load("libnvidia-ml.so.1")
            self._available = self._find(load("libcuda.so.1"))
        except (OSError, AttributeError):  # no such library, or one without these functions
            self._available = False

    def _find(self, cuda: Any) -> bool:
        """CUDA and NVML number the GPUs each in its own way; an address on the PCI bus means the same to both."""
        device, address = ctypes.c_int(), ctypes.create_string_buffer(32)
        failed = (
            cuda.cuInit(0)
            or cuda.cuDeviceGet(ctypes.byref(device), self.ordinal)
            or cuda.cuDeviceGetPCIBusId(address, len(address), device)
            or self._nvml.nvmlInit_v2()
            or self._nvml.nvmlDeviceGetHandleByPciBusId_v2(address, ctypes.byref(self._handle))
        )
        return not failed

    def read(self) -> dict[str, int]:
        """`gpu_busy`: in how many percent of the last moments the GPU computed, for this program or another.

        Nothing where the driver does not tell, as of a GPU that is divided (MIG).
        """
        used = (ctypes.c_uint * 2)()  # computing, moving memory
        if not self._available or self._nvml.nvmlDeviceGetUtilizationRates(self._handle, used):
            return {}
        return {"gpu_busy": used[0]}
