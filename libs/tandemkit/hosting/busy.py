"""What a host says over HTTP while its loop is held: that it is busy, and with whom.

A thread beside the loop answers, from the port that the loop is not there to answer from.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable, Collection
from http import HTTPStatus

from tandemkit.core.clock import stopwatch_s
from tandemkit.hosting.face import Identity
from tandemkit.hosting.http_port import HEAD_BYTES_MAX, Answer, Guard, too_large
from tandemkit.supervise.judging import Verdict

# A caller gets so long to ask and to listen; the thread has a beat to keep.
_WITHIN_S = 0.2
_END = b"\r\n\r\n"


class BusyFace:
    """The pages, in the form of those that the loop answers with. Told anew for each stall."""

    def __init__(self, identity: Identity, agents: Collection[str]) -> None:
        self._identity, self._agents = identity, agents
        self._holder, self._since_s = "", stopwatch_s()

    def held_by(self, agent: str, held_s: float) -> None:
        """Who holds the loop, an empty name if that is not known, and for how long already."""
        self._holder, self._since_s = agent, stopwatch_s() - held_s

    def page(self, path: str, _accept: str) -> Answer:
        """BUSY for the host and for each of its agents; figures are the loop's to tell."""
        own = path.removeprefix("/health/")
        if path in {"/health", "/health/"}:
            identity = self._identity
            return self._said(
                agents=[self._agent(name) for name in self._agents],
                version=identity.version,
                host=identity.host,
                machine=identity.machine,
            )
        if path.startswith("/health/") and own in self._agents:
            return self._said(name=own)
        return self._said(
            error="only /health and /health/AGENT are answered while the host is busy"
        )

    def _agent(self, name: str) -> dict[str, object]:
        return {"name": name, "status": Verdict.BUSY, "cause": self._cause}

    @property
    def _cause(self) -> str:
        held_s = stopwatch_s() - self._since_s
        return f"{self._holder or 'somebody'} has held the host's loop for {held_s:.1f} s"

    def _said(self, **more: object) -> Answer:
        held = {"holder": self._holder, "held_s": round(stopwatch_s() - self._since_s, 3)}
        told = {"status": Verdict.BUSY, "cause": self._cause, **held, **more}
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(told) + "\n", "application/json")


class BusyPort:
    """Takes connections from a port that the loop listens on; when that comes back it misses
    none that it should have.
    """

    def __init__(self, held: socket.socket, names: Collection[str], face: BusyFace) -> None:
        self.face = face
        self._guard = Guard.of(held, face.page, names)
        self._port = held.dup()

    def answer(self, wait_s: float, is_held: Callable[[], bool]) -> None:
        """Everybody who comes within `wait_s`, one after the other, until the loop is back."""
        until_s = stopwatch_s() + wait_s
        while (left_s := until_s - stopwatch_s()) > 0:
            if not select.select((self._port,), (), (), left_s)[0] or not is_held():
                return
            # Others may take the connection first, or it may be gone.
            with contextlib.suppress(OSError):
                came, _address = self._port.accept()
                with came:
                    came.settimeout(_WITHIN_S)
                    self._answer(came)

    def close(self) -> None:
        self._port.close()

    def _answer(self, came: socket.socket) -> None:
        head, until_s = b"", stopwatch_s() + _WITHIN_S
        while _END not in head:
            if len(head) > HEAD_BYTES_MAX:
                came.sendall(too_large())
                return
            more = came.recv(HEAD_BYTES_MAX)
            if not more or stopwatch_s() > until_s:
                return
            head += more
        came.sendall(self._guard.reply(head[: head.index(_END) + len(_END)]))
        came.shutdown(socket.SHUT_WR)
        # What is sent beyond the request would take the answer away from its caller.
        while came.recv(HEAD_BYTES_MAX) and stopwatch_s() < until_s:
            pass
