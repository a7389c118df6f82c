"""What NVIDIA's library says of the GPUs of this machine; other makers' are not seen.

`python -m tandemkit.telemetry.gpus` prints it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import pynvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as of a moment ago."""

    index: int
    name: str
    uuid: str
    memory_bytes: int
    used_bytes: int
    # Share of the last second in which it computed, in percent; None where it does not say.
    busy_percent: int | None
    # By process id what each holds; a driver tells no process of another container.
    held_bytes: dict[int, int]


@dataclass(frozen=True, slots=True)
class Gpus:
    """All GPUs, or why none is known: `absent` is empty where the library answers."""

    gpus: tuple[Gpu, ...] = ()
    absent: str = ""


class Board:
    """Reads what it was opened for; a call takes milliseconds, so: not on an event loop."""

    def __init__(self, absent: str = "") -> None:
        self._absent = absent

    def read(self) -> Gpus:
        """A GPU that fell off its bus is absent, with what the driver says."""
        if self._absent:
            return Gpus(absent=self._absent)
        try:
            return Gpus(tuple(_read(index) for index in range(pynvml.nvmlDeviceGetCount())))
        except pynvml.NVMLError as error:
            return Gpus(absent=str(error))


@contextmanager
def board() -> Iterator[Board]:
    """Opening the library takes up to a second where there is a driver, so it stays open."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield Board(f"NVML: {error}")
        return
    try:
        yield Board()
    finally:
        pynvml.nvmlShutdown()


def _read(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index,
        str(pynvml.nvmlDeviceGetName(handle)),
        str(pynvml.nvmlDeviceGetUUID(handle)),
        int(memory.total),
        int(memory.used),
        _busy_percent(handle),
        _held_bytes(handle),
    )


def _busy_percent(handle: object) -> int | None:
    try:
        return int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except pynvml.NVMLError:
        # A GPU that is split into instances has no figure of its own.
        return None


def _held_bytes(handle: object) -> dict[int, int]:
    try:
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return {}
    return {int(one.pid): int(one.usedGpuMemory or 0) for one in running}


def main() -> None:
    """As JSON, for people."""
    with board() as opened:
        sys.stdout.write(json.dumps(asdict(opened.read()), indent=2) + "\n")


if __name__ == "__main__":
    main()
