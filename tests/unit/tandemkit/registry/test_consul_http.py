"""What is sent to Consul twice, and what never is: told by a server that breaks connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.server import Patience
from tandemkit.registry.consul_http import ConsulSettings, Request, connected
from tandemkit.testing.parts import free_ports

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 17\r\n\r\nNo cluster leader"
UNKNOWN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\nACL not found"
READ = Request("GET", "/v1/kv/tandem/values/policy", again=True)
WRITE = Request("PUT", "/v1/txn", body=[])


class Breaking:
    """Answers each request with the next of `answers`, and breaks the connection for None."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = list(answers)
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head.split(b" ", 2)[0].decode())
                answer = self._answers.pop(0) if self._answers else None
                if answer is None:
                    break
                if b"Content-Length: 2" in head:
                    await reader.readexactly(2)
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def settings_for(breaking: Breaking) -> AsyncIterator[ConsulSettings]:
    async with await asyncio.start_server(breaking.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        patience = Patience(try_s=0.5, answer_s=1.0)
        yield ConsulSettings(url=f"http://127.0.0.1:{port}", patience=patience)


async def test_a_write_is_sent_once() -> None:
    """Whether it took effect is not known when the connection breaks, so nobody repeats it: not
    the client below us either, on a connection that has worked before.
    """
    breaking = Breaking(OK)
    async with settings_for(breaking) as settings, connected(settings) as http:
        await http.ask(WRITE)
        with pytest.raises(Unreachable):
            await http.ask(WRITE)
    assert breaking.requests == ["PUT", "PUT"]


@pytest.mark.parametrize("fault", [None, BUSY], ids=["broken", "leaderless"])
async def test_what_does_no_harm_twice_is_tried_again(fault: bytes | None) -> None:
    """A broken connection and a Consul without a leader may both pass."""
    breaking = Breaking(fault, fault, OK)
    async with settings_for(breaking) as settings, connected(settings) as http:
        assert (await http.ask(READ)).content == b"{}"
    assert breaking.requests == ["GET"] * 3


async def test_a_write_that_could_not_be_sent_is_tried_again() -> None:
    """Without a connection nothing can have happened."""
    (port,) = free_ports(1)
    settings = ConsulSettings(url=f"http://127.0.0.1:{port}", patience=Patience(answer_s=5.0))
    breaking = Breaking(OK)
    async with connected(settings) as http, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(http.ask(WRITE))
        with pytest.raises(Unreachable):
            await http.ask_once(READ)
        async with await asyncio.start_server(breaking.serve, "127.0.0.1", port):
            assert (await asked).content == b"{}"


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "413 Too Large"])
async def test_a_refusal_is_final(status: str) -> None:
    """Asking again would change nothing, and the error says what Consul said."""
    breaking = Breaking(f"HTTP/1.1 {status}\r\nContent-Length: 8\r\n\r\nnot you!".encode())
    async with settings_for(breaking) as settings, connected(settings) as http:
        with pytest.raises(Refused, match="not you!"):
            await http.ask(READ)
    assert breaking.requests == ["GET"]


async def test_a_token_that_is_not_known_yet_is_asked_with_again() -> None:
    """A Consul that has just started knows none and does nothing, so a write is repeated too."""
    breaking = Breaking(UNKNOWN, UNKNOWN, OK)
    async with settings_for(breaking) as settings, connected(settings) as http:
        await http.ask(WRITE)
    assert breaking.requests == ["PUT"] * 3


async def test_a_token_that_stays_unknown_is_refused() -> None:
    """Once the time of the call is up, and not as silence."""
    breaking = Breaking(*[UNKNOWN] * 100)
    async with settings_for(breaking) as settings, connected(settings) as http:
        with pytest.raises(Refused, match="does not know the token"):
            await http.ask(READ)
    assert len(breaking.requests) > 1
