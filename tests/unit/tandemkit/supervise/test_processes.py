"""Real processes: none outlives its owner, and a failure quotes the log."""

import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tandemkit.supervise.processes import Command, ProcessFailure, run_process, supervised_process
from tests.unit.tandemkit.supervise import fork_counter


def python(code: str, folder: Path, grace_s: float = 5.0) -> Command:
    return Command((sys.executable, "-c", code), folder / "log", grace_s=grace_s)


def alive(pid: int) -> bool:
    # A zombie is a process that has ended; its parent has yet to be told.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def appears(path: Path) -> None:
    await asyncio.to_thread(path.stat)


async def test_leaving_the_block_ends_the_process(tmp_path: Path) -> None:
    """Nothing runs on once the owner has left."""
    sleeper = python("import time; time.sleep(100)", tmp_path)
    async with supervised_process(sleeper) as process:
        assert alive(process.pid)
    assert not alive(process.pid)


async def test_children_of_the_process_end_with_it(tmp_path: Path) -> None:
    """The whole group goes, also what the leader left behind."""
    child = tmp_path / "child"
    code = f"""
import os, time
if os.fork() == 0:
    open({str(child) + ".new"!r}, "w").write(str(os.getpid()))
    os.rename({str(child) + ".new"!r}, {str(child)!r})
time.sleep(100)
"""
    async with supervised_process(python(code, tmp_path), ready=lambda: appears(child)):
        pid = int(child.read_text())
        assert alive(pid)
        grandchild = os.pidfd_open(pid)
    # The kernel was told to end it, and nobody of ours waits until it has.
    ended, _, _ = await asyncio.to_thread(select.select, [grandchild], [], [], 10)
    os.close(grandchild)
    assert ended


async def test_one_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    """After its grace a process is not asked any more."""
    mark = tmp_path / "deaf"
    code = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(mark)!r}).touch(); time.sleep(100)"
    )
    deaf = python(code, tmp_path, grace_s=0.05)
    async with supervised_process(deaf, ready=lambda: appears(mark)) as process:
        pass
    assert process.exit_status == -9


async def test_one_that_ends_before_it_is_ready_quotes_its_log(tmp_path: Path) -> None:
    """The failure holds what a person would have looked for in the log."""
    broken = python("import sys; print('no such port'); sys.exit(3)", tmp_path)
    with pytest.raises(ProcessFailure) as failed:
        async with supervised_process(broken, ready=lambda: appears(tmp_path / "never")):
            pass
    assert failed.value.metadata["exit_status"] == "3"
    assert failed.value.metadata["log_tail"] == "no such port"


async def test_one_that_never_gets_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    """Waiting has an end, and the process does not stay."""
    pids = tmp_path / "pid"
    code = f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); time.sleep(100)"
    with pytest.raises(ProcessFailure, match="not ready in time"):
        async with supervised_process(
            python(code, tmp_path), ready=lambda: appears(tmp_path / "never"), ready_within_s=0.3
        ):
            pass
    assert not pids.exists() or not alive(int(pids.read_text()))


async def test_a_program_that_is_not_there_is_a_clean_failure(tmp_path: Path) -> None:
    """The name of what cannot start is told."""
    missing = Command((str(tmp_path / "missing"),), tmp_path / "log")
    with pytest.raises(ProcessFailure, match="could not start") as failed:
        await run_process(missing)
    assert failed.value.metadata["program"].endswith("missing")


async def test_cancelling_the_owner_ends_the_process(tmp_path: Path) -> None:
    """An interrupted step leaves nothing behind."""
    pids = tmp_path / "pid"
    code = f"""
import os, time
open({str(pids) + ".new"!r}, "w").write(str(os.getpid()))
os.rename({str(pids) + ".new"!r}, {str(pids)!r})
time.sleep(100)
"""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(run_process(python(code, tmp_path)))
        async with supervised_process(
            python("import time; time.sleep(100)", tmp_path), ready=lambda: appears(pids)
        ):
            running.cancel()
    assert not alive(int(pids.read_text()))


async def test_a_descriptor_that_it_keeps_open_is_inherited(tmp_path: Path) -> None:
    """A lock given along lasts as long as the process."""
    descriptor = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    try:
        code = f"import os; os.fstat({descriptor})"
        argv = (sys.executable, "-c", code)
        kept = Command(argv, tmp_path / "log", keeps_open=(descriptor,))
        assert await run_process(kept) == 0
        assert await run_process(Command(argv, tmp_path / "log")) == 1
    finally:
        os.close(descriptor)


def test_no_library_is_asked_before_a_process_starts(tmp_path: Path) -> None:
    """gRPC's answer to a fork may take for ever, and with uvloop our loop would wait for it."""
    argv = (sys.executable, "-m", fork_counter.__name__, str(tmp_path / "log"))
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "3 0\n", done.stderr
