"""A Redis server of the fleet's own: on loopback, with a password, its data on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tandemkit.core.clock import Clock
from tandemkit.machine.home import Home, write_at_once
from tandemkit.machine.parts.secret import kept_secret

NAME = "redis"
PORT = "port"
PORTS = (PORT,)
_LOOK_S = 0.1
_ANSWER_S = 2.0


def password_path(home: Path) -> Path:
    return home / NAME / "password"


def address(ports: Mapping[str, int]) -> str:
    return f"127.0.0.1:{ports[PORT]}"


def argv(program: str, ports: Mapping[str, int], home: Home) -> tuple[str, ...]:
    """Its command line. The password stands in a file that only the user can read."""
    folder = home.folder / NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = folder / "redis.conf"
    lines = (
        "bind 127.0.0.1",
        f"port {ports[PORT]}",
        f"requirepass {kept_secret(password_path(home.folder))}",
        f'dir "{folder}"',
        # Each write is on disk before it is answered: a lock must not be forgotten.
        "appendonly yes",
        "appendfsync always",
        'save ""',
        "daemonize no",
    )
    write_at_once(config, "\n".join((*lines, "")).encode())
    return (program, str(config))


class RedisWatch:
    """Looks whether it has read its disk."""

    def __init__(self, ports: Mapping[str, int], clock: Clock) -> None:
        self._port, self._clock = ports[PORT], clock

    async def until_it_answers(self) -> None:
        """Returns once it takes commands."""
        while True:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_ANSWER_S):
                    if await self._answers():
                        return
            await self._clock.sleep(_LOOK_S)

    async def _answers(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"PING\r\n")
            # Whoever is asked to log in is answered too; one that still reads says LOADING.
            return (await reader.readline()).startswith((b"+PONG", b"-NOAUTH"))
        finally:
            writer.close()
