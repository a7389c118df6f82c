"""Threads as children of a supervisor: asked to stop, joined, and missed if they do not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass

from tandemkit.supervise.children import Child, Life, Restart


@dataclass(frozen=True, slots=True)
class ThreadLife:
    """One run of a thread. `stopping` is set when it is to return; nothing else can end it."""

    stopping: threading.Event
    ready: Callable[[], None]


ThreadWork = Callable[[ThreadLife], None]


def thread(
    name: str,
    work: ThreadWork,
    restart: Restart = Restart.ALWAYS,
    *,
    grace_s: float = 5.0,
    ready_within_s: float = 30.0,
) -> Child:
    """A child that runs `work` in a thread of its own, which calls `ready` when it is.

    One that does not return within its grace is reported, and lives on until the process ends. That
    is not held up by it.
    """

    async def run(life: Life) -> None:
        await _run(work, life)

    return Child(name, run, restart, grace_s, ready_within_s)


async def _run(work: ThreadWork, life: Life) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def tell(what: Callable[..., None], *arguments: object) -> None:
        # A thread that was left behind may outlive its loop.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(what, *arguments)

    own = ThreadLife(threading.Event(), lambda: tell(life.ready))

    def body() -> None:
        try:
            work(own)
        except SystemExit:
            # In a thread it means no more than to return.
            tell(over.set_result, None)
        except Exception as error:
            tell(over.set_exception, error)
        else:
            tell(over.set_result, None)

    # A daemon, or one that is stuck would keep the interpreter from ending.
    started = threading.Thread(target=copy_context().run, args=(body,), name=life.path, daemon=True)
    started.start()
    try:
        await asyncio.shield(over)
    except asyncio.CancelledError:
        own.stopping.set()
        await asyncio.shield(over)
        raise
    finally:
        # It has said its last word by now, or was left behind.
        if over.done():
            started.join()
