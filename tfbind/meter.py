"""What a process takes of its machine."""

import time
from dataclasses import dataclass, field
from typing import Any

import psutil


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
