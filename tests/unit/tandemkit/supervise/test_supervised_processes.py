"""Real processes under a supervisor: killed, frozen, deaf, and left by a killed supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from tandemkit.supervise.policy import Policy
from tandemkit.supervise.processes import Command, process, supervised_process
from tandemkit.supervise.reports import Asked, Exited, Happening, Raised
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.ward import Means
from tests.unit.tandemkit.supervise.planted_children import Kept

ANN = Asked("ann")
SLEEP = ("sleep", "1000")


def shell(script: str, folder: Path, grace_s: float = 5.0) -> Command:
    return Command(("sh", "-c", script), folder / "log", cwd=folder, grace_s=grace_s)


async def written(path: Path) -> None:
    """Raises until there is a whole line."""
    text = await asyncio.to_thread(path.read_text)
    assert text.endswith("\n")


async def gone(pid: int) -> None:
    """Returns when the process has ended, which its pidfd tells."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def pids(folder: Path, count: int) -> list[int]:
    return [int((folder / f"pid{number}").read_text()) for number in range(count)]


async def test_m022_kill_any_child_and_it_returns(tmp_path: Path) -> None:
    """Each after kill -9, alone, with the signal and what that life of it wrote in the record."""
    kept = Kept()
    children = [
        process(
            f"p{number}",
            shell(f"echo life of $$; echo $$ > pid{number}; exec sleep 1000", tmp_path),
            ready=partial(written, tmp_path / f"pid{number}"),
        )
        for number in range(3)
    ]
    policy = Policy(together=3)
    async with supervising(Supervisor("top", children, policy, Means(sink=kept))) as top:
        await top.until_up()
        for number, pid in enumerate(pids(tmp_path, 3)):
            (tmp_path / f"pid{number}").unlink()
            os.kill(pid, signal.SIGKILL)
            await gone(pid)
            await kept.until(f"top/p{number}", Happening.UP, times=2)
        assert [one.lives for one in top.children()] == [2, 2, 2]
        again = pids(tmp_path, 3)
    causes = [kept.causes(f"top/p{number}", Happening.RESTARTING)[0] for number in range(3)]
    assert all(isinstance(one, Exited) and one.signal == "SIGKILL" for one in causes)
    for pid in again:
        await gone(pid)


async def test_the_record_quotes_only_what_this_life_wrote(tmp_path: Path) -> None:
    """The log of earlier lives stays in its file."""
    kept = Kept()
    script = """
echo $$ >> lives; echo line $(wc -l < lives)
[ $(wc -l < lives) -gt 2 ] || exit 3
exec sleep 1000
"""
    child = process("a", shell(script, tmp_path))
    async with supervising(Supervisor("top", [child], means=Means(sink=kept))):
        await kept.until("top/a", Happening.RESTARTING, times=2)
    assert kept.causes("top/a", Happening.RESTARTING) == [
        Exited(3, "", "line 1"),
        Exited(3, "", "line 2"),
    ]


async def test_a_program_that_is_missing_is_told_with_its_name(tmp_path: Path) -> None:
    """As a start that failed."""
    kept = Kept()
    missing = Command((str(tmp_path / "missing"),), tmp_path / "log")
    top = Supervisor("top", [process("a", missing)], means=Means(sink=kept))
    async with supervising(top):
        await kept.until("top/a", Happening.FAILED)
    cause = kept.causes("top/a", Happening.FAILED)[0]
    assert isinstance(cause, Raised)
    assert str(tmp_path / "missing") in cause.chain[0].message


async def test_a_frozen_process_that_ignores_requests_is_killed(tmp_path: Path) -> None:
    """Neither SIGSTOP nor a deaf ear keeps it, and its restart is not held up."""
    kept = Kept()
    script = "trap '' TERM; echo $$ > pid0; while :; do sleep 1000; done"
    child = process(
        "a", shell(script, tmp_path, grace_s=0.05), ready=lambda: written(tmp_path / "pid0")
    )
    async with supervising(Supervisor("top", [child], means=Means(sink=kept))) as top:
        await top.until_up()
        (pid,) = pids(tmp_path, 1)
        os.kill(pid, signal.SIGSTOP)
        (tmp_path / "pid0").unlink()
        await top.restart("a", ANN)
        await gone(pid)
        assert pids(tmp_path, 1) != [pid]
    assert kept.causes("top/a", Happening.STOPPED)[0] == Exited(None, "SIGKILL", "")


async def test_a_frozen_process_that_is_well_behaved_ends_by_itself(tmp_path: Path) -> None:
    """It is woken to hear the request, and so can still put things in order."""
    script = (
        "trap 'echo in order > order; exit 0' TERM; echo $$ > pid0; while :; do sleep 0.01; done"
    )
    command = shell(script, tmp_path)
    async with supervised_process(command, ready=lambda: written(tmp_path / "pid0")) as running:
        os.killpg(running.pid, signal.SIGSTOP)
    assert running.exit_status == 0
    assert (tmp_path / "order").read_text() == "in order\n"


async def test_many_processes_end_together(tmp_path: Path) -> None:
    """Each waits for the others to be told too, which would fail one behind the other."""
    count = 4
    script = """
await_all() {
  touch told$0
  while [ $(ls told* | wc -l) -lt 4 ]; do sleep 0.01; done
  touch ended$0
  exit 0
}
trap await_all TERM
echo $$ > pid$0
while :; do sleep 0.01; done
"""
    children = [
        process(
            f"p{number}",
            Command(("sh", "-c", script, str(number)), tmp_path / f"log{number}", cwd=tmp_path),
            ready=partial(written, tmp_path / f"pid{number}"),
        )
        for number in range(count)
    ]
    async with supervising(Supervisor("top", children, Policy(together=count))) as top:
        await top.until_up()
    assert {f"ended{number}" for number in range(count)} <= names_in(tmp_path)


SUPERVISE = """
import asyncio, os, sys
from pathlib import Path
from tandemkit.supervise.policy import Policy
from tandemkit.supervise.processes import Command, process
from tandemkit.supervise.supervisor import Supervisor, supervising

folder = Path(sys.argv[1])

def child(number):
    # A grandchild too, which would survive its parent.
    script = f"echo $$ > pid{number}; sleep 1000 & echo $! > new{number}; "
    script += f"mv new{number} grand{number}; wait"
    command = Command(("sh", "-c", script), folder / "log", cwd=folder)
    async def ready():
        os.stat(folder / f"grand{number}")
    return process(f"p{number}", command, ready=ready)

async def main():
    async with supervising(Supervisor("top", map(child, range(3)), Policy(together=3))) as top:
        await top.until_up()
        folder.joinpath("new").write_text("up\\n")
        folder.joinpath("new").rename(folder / "up")
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("is_alone", [True, False])
async def test_m022_no_process_survives_a_killed_supervisor(tmp_path: Path, is_alone: bool) -> None:
    """Neither its children nor theirs, be the supervisor killed alone or with its whole group."""
    command = Command(
        (sys.executable, "-c", SUPERVISE, str(tmp_path)),
        tmp_path / "supervisor.log",
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with supervised_process(command, ready=lambda: written(tmp_path / "up")) as supervisor:
        left = pids(tmp_path, 3)
        left += [int((tmp_path / f"grand{number}").read_text()) for number in range(3)]
        (os.kill if is_alone else os.killpg)(supervisor.pid, signal.SIGKILL)
        for pid in left:
            await gone(pid)


async def test_the_executor_of_the_will_is_replaced_when_it_is_killed(tmp_path: Path) -> None:
    """What started before and after is guarded again; with the last group it goes itself."""
    async with supervised_process(Command(SLEEP, tmp_path / "log")):
        (first,) = executors()
        os.kill(first, signal.SIGKILL)
        async with supervised_process(Command(SLEEP, tmp_path / "log")):
            (second,) = executors()
            assert second != first
    assert executors() == []


def executors() -> list[int]:
    """Shells that are our children and read from a pipe, as no other child does."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found = []
    for pid in map(int, children):
        with contextlib.suppress(FileNotFoundError):
            if str(Path(f"/proc/{pid}/fd/0").readlink()).startswith("pipe:"):
                found.append(pid)
    return found
