"""One request while it is worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.gateway.http.asking import Asked
from services.gateway.http.mcp import jsonrpc, versions
from services.gateway.http.mcp.feed import Feed
from services.gateway.http.mcp.jsonrpc import INVALID_PARAMS, Fault, Incoming, Params

# In the order of their weight, as RFC 5424 has them.
LEVELS: Final = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
LEVEL_KEY: Final = "io.modelcontextprotocol/logLevel"
_LOGGER: Final = "tandem"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is asked, by whom, and where it is answered. `level` is from which on the client wants
    to be told what happens; empty: it does not. `agents` are those whose tools it wants, by any of
    their names; none: all of them.
    """

    asked: Asked
    message: Incoming
    version: str
    feed: Feed
    level: str = ""
    agents: frozenset[str] = frozenset()

    @property
    def params(self) -> Params:
        return self.message.params

    @property
    def is_modern(self) -> bool:
        """Whether it is of a revision without handshakes."""
        return self.version == versions.MODERN

    def progress(self, done: int, said: str) -> None:
        """Told to who asked for it."""
        token = self.message.meta.get("progressToken")
        if isinstance(token, str | int) and not isinstance(token, bool):
            told = {"progressToken": token, "progress": done, "message": said}
            self.feed.put(jsonrpc.notification("notifications/progress", told))

    def log(self, level: str, **said: object) -> None:
        """Told to who wants it: structured, for the text of others does not belong in ours."""
        if self.level and LEVELS.index(level) >= LEVELS.index(self.level):
            told = {"level": level, "logger": _LOGGER, "data": said}
            self.feed.put(jsonrpc.notification("notifications/message", told))


def level_of(value: object) -> str:
    """Raises Fault."""
    if not isinstance(value, str) or value not in LEVELS:
        raise Fault(INVALID_PARAMS, f"a level is one of {', '.join(LEVELS)}")
    return value
