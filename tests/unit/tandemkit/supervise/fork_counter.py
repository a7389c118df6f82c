"""Prints the exit status of a process that it started, and how many forks its libraries saw. In a
process of its own: what is registered for a fork stays so.
"""

import ctypes
import pathlib
import sys

import uvloop

from tandemkit.supervise.processes import Command, run_process


def main() -> None:
    forks: list[int] = []
    handler = ctypes.CFUNCTYPE(None)(lambda: forks.append(1))
    ctypes.CDLL(None).__register_atfork(handler, None, None, None)
    argv = (sys.executable, "-c", "raise SystemExit(3)")
    status = uvloop.run(run_process(Command(argv, pathlib.Path(sys.argv[1]))))
    sys.stdout.write(f"{status} {len(forks)}\n")


if __name__ == "__main__":
    main()
