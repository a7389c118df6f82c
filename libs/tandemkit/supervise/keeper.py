"""Starts one process again when it dies or freezes: a supervisor that nobody else supervises.

Run by its path and without the kit, so that it takes the memory of a bare interpreter. What the two
tell each other stands in a folder: docs/design/machine.md.
"""

import fcntl
import os
import select
import signal
import sys

# One look a second. A beat that stands still for so many of them is that of a frozen process, and a
# new one may take longer until its first.
LOOK_MS = 1000
LOOKS_FROZEN = 6
LOOKS_STARTING = 20
# A process that was there for so many looks starts again at once; one that never is, ever later.
LOOKS_STABLE = 30
PAUSE_MS_MIN, PAUSE_MS_MAX = 100, 30_000
# The files of the folder: who the supervisor is (its pid, when it began, in which boot), its beat,
# and the same of the keeper.
SUPERVISOR, BEAT, KEEPER, LOCK = "supervisor", "beat", "keeper", "keeper.lock"


def main() -> int:
    """`keeper.py FOLDER LOG ARGV...`: ends when the folder names no supervisor any more."""
    folder, log, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
    lock = os.open(os.path.join(folder, LOCK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    write(folder, KEEPER, mark(os.getpid()))
    pause_ms = PAUSE_MS_MIN
    while True:
        said = read(folder, SUPERVISOR)
        if not said:
            return 0
        looks = watch(folder, said)
        if not read(folder, SUPERVISOR):
            return 0
        if looks >= LOOKS_STABLE:
            pause_ms = PAUSE_MS_MIN
        wait(pause_ms)
        pause_ms = min(pause_ms * 2, PAUSE_MS_MAX)
        if read(folder, SUPERVISOR) == said:
            pid = start(argv, log)
            write(folder, SUPERVISOR, mark(pid))


def watch(folder: str, said: str) -> int:
    """Returns when that supervisor is over, by itself or because it was frozen; how many looks it
    was there.
    """
    pid = int(said.partition(" ")[0])
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return 0
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    looks = still = 0
    last = beat(folder)
    limit = LOOKS_STARTING
    try:
        while mark(pid) == said and not poll.poll(LOOK_MS):
            looks += 1
            now = beat(folder)
            still = still + 1 if now == last else 0
            if now != last:
                last, limit = now, LOOKS_FROZEN
            if still >= limit:
                os.kill(pid, signal.SIGKILL)
                poll.poll(LOOK_MS)
                break
    finally:
        os.close(descriptor)
        reap(pid)
    return looks


def beat(folder: str) -> int:
    """When the supervisor last said that it runs: of use to be compared alone."""
    try:
        return os.stat(os.path.join(folder, BEAT)).st_mtime_ns
    except FileNotFoundError:
        return 0


def mark(pid: int) -> str:
    """The process of that number and no later one; empty where it is over."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
    except OSError:
        return ""
    return "" if fields[0] in "ZXx" else f"{pid} {fields[19]} {boot}"


def start(argv: list[str], log: str) -> int:
    """In a session of its own, as the one before it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    return os.posix_spawn(argv[0], argv, variables(), file_actions=actions, setsid=True)


def variables() -> dict[bytes, bytes]:
    """What we were started with, which was the supervisor's own."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (one.partition(b"=") for one in file.read().split(b"\0") if one)
        return {name: value for name, _, value in pairs}


def reap(pid: int) -> None:
    """Where it was our child."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def read(folder: str, name: str) -> str:
    """What the file holds; empty where there is none."""
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write(folder: str, name: str, text: str) -> None:
    """At once: somebody may read it meanwhile."""
    path = os.path.join(folder, name)
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def wait(pause_ms: int) -> None:
    """Nothing is to happen meanwhile."""
    select.poll().poll(pause_ms)


if __name__ == "__main__":
    sys.exit(main())
