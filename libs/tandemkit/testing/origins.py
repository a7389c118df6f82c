"""Where this process starts what may outlive a test, noted as it happens."""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from pytest import MonkeyPatch

# Their frames are how something is started, not where.
_LIBRARY = re.compile(r"/site-packages/|/lib/python3|^<|/testing/(origins|leaks)\.py$")
_KIT = "/tandemkit/"
_TESTS = "/tests/"


@dataclass
class Origins:
    """Of each thing its file and line: the test's own, where that is on the stack."""

    # How often a process was started, in whichever way.
    starts_count: int = 0
    processes: dict[int, str] = field(default_factory=dict)
    threads: WeakKeyDictionary[threading.Thread, str] = field(default_factory=WeakKeyDictionary)
    sockets: WeakKeyDictionary[socket.socket, str] = field(default_factory=WeakKeyDictionary)
    folders: dict[str, str] = field(default_factory=dict)
    # Where tests waited for time to pass, and how long.
    sleeps: list[str] = field(default_factory=list)

    def heed(self, mark: Mapping[str, str]) -> None:
        """From now on, for as long as this process lives. Those that it starts get `mark` in their
        environment, by which they are found when their parent is gone.
        """
        heard = {
            "subprocess.Popen": self._process,
            "os.fork": self._process,
            "os.forkpty": self._process,
            "os.posix_spawn": self._process,
            "socket.bind": self._socket,
            "tempfile.mkdtemp": self._folder,
        }

        def hear(event: str, args: tuple[Any, ...]) -> None:
            if take := heard.get(event):
                take(*args)

        sys.addaudithook(hear)
        start: Any = subprocess.Popen.__init__

        def starting(process: Any, *args: Any, **options: Any) -> None:
            if options.get("env") is not None:
                options["env"] = {**options["env"], **mark}
            start(process, *args, **options)
            self.processes[process.pid] = where()

        patch = MonkeyPatch()
        patch.setattr(subprocess.Popen, "__init__", starting)
        patch.setattr(threading.Thread, "start", self._starting(threading.Thread.start))
        for module in (time, asyncio):
            patch.setattr(module, "sleep", self._sleeping(module.sleep))

    def _starting(self, start: Callable[[threading.Thread], None]) -> Callable[..., None]:
        def starting(thread: threading.Thread) -> None:
            self.threads[thread] = where()
            start(thread)

        return starting

    def _sleeping(self, sleep: Callable[..., Any]) -> Callable[..., Any]:
        """For tests alone: what they call may well sleep, with a reason of its own."""

        def sleeping(duration_s: float, *args: Any, **options: Any) -> Any:
            if duration_s > 0 and (found := _of_test(inspect.currentframe())):
                self.sleeps.append(f"{duration_s:g} s, at {found}")
            return sleep(duration_s, *args, **options)

        return sleeping

    def _process(self, *_args: Any) -> None:
        self.starts_count += 1

    def _socket(self, bound: socket.socket, _address: Any) -> None:
        self.sockets[bound] = where()

    def _folder(self, path: Any, *_args: Any) -> None:
        self.folders[str(path)] = where()


def where() -> str:
    """The file and line that something is started by: the innermost outside of libraries and of
    the kit, else the innermost of the kit.
    """
    kit = ""
    for frame in _frames(inspect.currentframe()):
        found = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if _KIT not in frame.f_code.co_filename:
            return found
        kit = kit or found
    return kit or "a library"


def noting_tasks(begun: MutableMapping[asyncio.Task[Any], str]) -> Any:
    """A factory of a loop's tasks that notes where each of them began."""

    def noting(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        begun[task] = where()
        return task

    return noting


def is_of_library(task: asyncio.Task[Any]) -> bool:
    """What a library keeps running beside a call is not for a test to end."""
    code = getattr(task.get_coro(), "cr_code", None)
    path = "<compiled>" if code is None else code.co_filename
    return not Path(path).is_absolute() or bool(_LIBRARY.search(path))


def _of_test(frame: FrameType | None) -> str:
    """The file and line that called, if it is one of tests. A Clock is what tests may wait by."""
    caller = next(_frames(frame), None)
    if caller is None or _TESTS not in caller.f_code.co_filename:
        return ""
    return f"{caller.f_code.co_filename}:{caller.f_lineno}"


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        if not _LIBRARY.search(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back
