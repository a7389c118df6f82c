"""Two first runs at once: one works, the other waits, and a dead one holds nothing up."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tandemkit.cli.locks import alone
from tandemkit.supervise.processes import Command, supervised_process


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


HOLD = """
import asyncio, sys
from pathlib import Path
from tandemkit.cli.locks import alone

async def hold():
    async with alone(Path(sys.argv[1]), print):
        Path(sys.argv[1] + ".held").touch()
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_a_lock_held_by_a_killed_process_is_free(tmp_path: Path) -> None:
    """Whoever comes after waits for the living, never for the dead."""
    lock = tmp_path / "lock"
    waits: list[str] = []

    async def held() -> None:
        await asyncio.to_thread(Path(f"{lock}.held").stat)

    command = Command(
        (sys.executable, "-c", HOLD, str(lock)),
        tmp_path / "log",
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with supervised_process(command, ready=held) as process:
        os.kill(process.pid, 9)
        await process.wait()
    async with alone(lock, lambda: waits.append("waited")):
        assert waits == []


async def test_whoever_waits_is_told(tmp_path: Path) -> None:
    """A second run says that it waits before it does."""
    lock = tmp_path / "lock"
    log = tmp_path / "log"
    code = HOLD.replace("print", "lambda: Path(sys.argv[1] + '.waits').touch()")

    async def waits() -> None:
        await asyncio.to_thread(Path(f"{lock}.waits").stat)

    command = Command(
        (sys.executable, "-c", code, str(lock)),
        log,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with alone(lock, lambda: None), supervised_process(command, ready=waits):
        assert "lock.held" not in names_in(tmp_path)


async def test_a_waiting_run_can_be_interrupted(tmp_path: Path) -> None:
    """One Ctrl-C is enough, also while another run holds the lock."""
    lock = tmp_path / "lock"
    code = HOLD.replace("print", "lambda: Path(sys.argv[1] + '.waits').touch()")

    async def waits() -> None:
        await asyncio.to_thread(Path(f"{lock}.waits").stat)

    command = Command(
        (sys.executable, "-c", code, str(lock)),
        tmp_path / "log",
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with (
        alone(lock, lambda: None),
        supervised_process(command, ready=waits) as process,
        asyncio.timeout(20),
    ):
        os.kill(process.pid, signal.SIGINT)
        assert await process.wait() != 0
    assert "KeyboardInterrupt" in (tmp_path / "log").read_text()
