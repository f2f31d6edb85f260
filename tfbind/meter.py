"""What a process takes of its machine, and how busy its GPU is."""

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil


def cpu_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Meter:
    """Measures the process it is made in."""

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
    """Asks NVIDIA's driver how busy a GPU is.

    Args:
        ordinal: which of the GPUs that CUDA shows to this process.
        load: opens a library of the driver; `libnvidia-ml` is NVML, documented at docs.nvidia.com/deploy/nvml-api.
    """

    def __init__(self, ordinal: int, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        self.ordinal = ordinal
        self._handle = ctypes.c_void_p()
        try:
            self._nvml = load("libnvidia-ml.so.1")
            self._found = self._find(load("libcuda.so.1"))
        except (OSError, AttributeError):  # no such library, or one without these functions
            self._found = False

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
        if not self._found or self._nvml.nvmlDeviceGetUtilizationRates(self._handle, used):
            return {}
        return {"gpu_busy": used[0]}
