"""What the server keeps of clients that begin with a handshake. A session is a name that scopes
what its requests say of each other; it is bound to its caller, holds no right, and needs not be
known: so it outlives the gateway.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from typing import Final

from services.gateway.http.mcp.jsonrpc import INVALID_REQUEST, Fault, Id

HEADER: Final = "mcp-session-id"
_FORM: Final = re.compile(r"[!-~]{1,128}")
_BYTES: Final = 24
# Of sessions that were ended, and of those that set a level.
_REMEMBERED_MAX: Final = 1000


class Sessions:
    """By owner: a caller, and the session that it named; empty where it named none."""

    def __init__(self) -> None:
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._levels: OrderedDict[str, str] = OrderedDict()
        self._running: dict[tuple[str, Id], asyncio.Task[None]] = {}

    @staticmethod
    def new() -> str:
        """The name of another one."""
        return secrets.token_urlsafe(_BYTES)

    def owner(self, caller: str, session: str | None) -> str:
        """Raises Fault for one that was ended."""
        if session is None:
            return ""
        if _FORM.fullmatch(session) is None:
            raise Fault(INVALID_REQUEST, "a session has 1 to 128 visible ASCII characters", 400)
        owner = f"{caller} {session}"
        if owner in self._ended:
            raise Fault(INVALID_REQUEST, "the session was ended; begin with `initialize`", 404)
        return owner

    def end(self, owner: str) -> None:
        """With everything that runs in it. Raises Fault where no session was named."""
        if not owner:
            raise Fault(INVALID_REQUEST, f"a session is named by {HEADER}", 400)
        for key, task in list(self._running.items()):
            if key[0] == owner:
                task.cancel()
        self._levels.pop(owner, None)
        _remember(self._ended, owner, "")

    def level(self, owner: str) -> str:
        """From which on it wants to be told what happens; empty where it did not say."""
        return self._levels.get(owner, "")

    def set_level(self, owner: str, level: str) -> None:
        """Of a session: who names none is nobody that could be known again."""
        if owner:
            _remember(self._levels, owner, level)

    def begin(self, owner: str, identity: Id, task: asyncio.Task[None]) -> None:
        """From now until it is over, `cancel` reaches it."""
        if owner:
            key = owner, identity
            self._running[key] = task
            task.add_done_callback(lambda _: self._over(key, task))

    def _over(self, key: tuple[str, Id], task: asyncio.Task[None]) -> None:
        if self._running.get(key) is task:
            del self._running[key]

    def cancel(self, owner: str, identity: object) -> None:
        """What is not there, or over, stays so."""
        if isinstance(identity, str | int) and (task := self._running.get((owner, identity))):
            task.cancel()


def _remember(known: OrderedDict[str, str], key: str, value: str) -> None:
    known.pop(key, None)
    known[key] = value
    while len(known) > _REMEMBERED_MAX:
        known.popitem(last=False)
