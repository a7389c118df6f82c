"""Who keeps the loop of a host from going on, found out from another thread.

The search begins when the loop is late, so a call pays nothing for it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from traceback import FrameSummary, StackSummary, walk_stack
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from tandemkit.supervise import stacks
from tandemkit.supervise.pulse import Origin

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent
    from tandemkit.hosting.host import Placed

_FRAMES_MAX = 30
_FOLDER_MODULE = "/agent.py"

# The service that a task serves a call of; None for any other task.
Served = Callable[[asyncio.Task[Any]], str | None]


def origins(placed: Sequence[Placed]) -> tuple[Origin, ...]:
    """Where each agent's code stands."""
    return tuple(Origin(one.name, _home(one.agent)) for one in placed)


def _home(agent: Agent) -> str:
    function: Any = getattr(agent.build, "__wrapped__", agent.build)
    code: CodeType | None = getattr(function, "__code__", None)
    path = code.co_filename if code else ""
    return path.removesuffix("agent.py") if path.endswith(_FOLDER_MODULE) else path


class Holding:
    """Of one loop, made in its thread. `agents` are those that serve, by their services."""

    def __init__(
        self, origins: Sequence[Origin], agents: Mapping[str, str], served: Served
    ) -> None:
        self.origins, self._agents, self._served = origins, agents, served
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()

    def found(self) -> tuple[str, list[str]]:
        """The agent, empty where that is not known, and where the loop's thread stands, the last
        call first.
        """
        frame = sys._current_frames().get(self._thread_id)
        frames = list(_frames(frame)) if frame else []
        agent = self._of_task(asyncio.current_task(self._loop))
        agent = agent or stacks.agent_of((one.filename for one in frames), self.origins)
        where = [f"{one.filename}:{one.lineno} {one.name}" for one in frames[:_FRAMES_MAX]]
        return agent, where

    def _of_task(self, task: asyncio.Task[Any] | None) -> str:
        """A call's agent, or that of a task that `scope.spawn` named."""
        if task is None:
            return ""
        service = self._served(task)
        if service is not None:
            return self._agents.get(service, "")
        name = task.get_name().partition(":")[0]
        return name if name in self._agents.values() else ""


def _frames(frame: FrameType) -> Iterable[FrameSummary]:
    # Without the lines themselves, for which files would have to be read.
    return StackSummary.extract(walk_stack(frame), lookup_lines=False)
