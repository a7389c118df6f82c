"""Streams that are opened again behind a cut, of a server that a script plays."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tandem.memory.v1 import answer_service_pb2 as answers
from tandem.models.v1 import model_service_pb2 as pb
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.rpc import failure
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.resuming import Patience, is_resumable, resuming
from tandemkit.testing.clock import FakeClock, Hasty

_CODE = grpc.StatusCode
WORDS = ["the ", "mill ", "turns ", "slowly ", "until ", "evening"]
AWAY = Refusal(_CODE.UNAVAILABLE, "Socket closed", "", "")
RESET = Refusal(_CODE.INTERNAL, "Received RST_STREAM with error code 2", "", "")
DRAINING = failure.of_platform(platform.PLATFORM_ERROR_REASON_DRAINING, "it ends", retry_after_s=1)
ITS_WORD = Refusal(_CODE.UNAVAILABLE, "no model", "BACKEND_UNREACHABLE", "tandem.models.v1")


def error(refusal: Refusal) -> grpc.aio.AioRpcError:
    trailers = refusal.trailers() if refusal.domain else ()
    return grpc.aio.AioRpcError(
        refusal.code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), refusal.message
    )


class Server:
    """Tells its words, and fails before the one whose number is next in `cuts`."""

    def __init__(self, *cuts: tuple[int, Refusal], clock: FakeClock | None = None) -> None:
        self.cuts, self.clock = deque(cuts), clock
        self.asked: list[str] = []
        self.timeouts: list[float | None] = []
        self.cancelled = 0

    def stream(self, request: pb.StreamChatRequest, timeout: float | None = None) -> Call:
        self.asked.append(request.resume_token)
        self.timeouts.append(timeout)
        return Call(self, int(request.resume_token or 0))


class Call:
    """One opening, as grpc.aio's is."""

    def __init__(self, server: Server, at: int) -> None:
        self._server, self._at = server, at

    async def __aiter__(self) -> AsyncIterator[pb.StreamChatResponse]:
        cut = self._server.cuts.popleft() if self._server.cuts else None
        for at in range(self._at, len(WORDS) + 1):
            if cut and at == cut[0]:
                raise error(cut[1])
            if at < len(WORDS):
                yield pb.StreamChatResponse(text=WORDS[at], resume_token=str(at + 1))

    def cancel(self) -> None:
        self._server.cancelled += 1


async def told(server: Server, **more: Any) -> list[str]:
    request = pb.StreamChatRequest(model="parrot")
    more.setdefault("clock", Hasty())
    found = [part.text async for part in resuming(server.stream, request, **more)]
    assert not request.resume_token
    return found


async def test_a_stream_that_is_cut_anywhere_is_one_stream() -> None:
    """Before its first word, behind its last, and everywhere between: no gap, no word twice."""
    for at in range(len(WORDS) + 1):
        server = Server((at, AWAY))
        assert await told(server) == WORDS
        assert server.asked == ["", str(at) if at else ""]
        assert server.cancelled == 2


@pytest.mark.parametrize("how", [AWAY, RESET, DRAINING], ids=lambda one: one.message)
async def test_many_cuts_in_one_stream_are_none(how: Refusal) -> None:
    """However its server goes away, behind each word."""
    cuts = [(at, how) for at in range(1, len(WORDS) + 1)]
    assert await told(Server(*cuts)) == WORDS


async def test_openings_that_bring_nothing_end() -> None:
    """Longer pauses each time, so long as a host needs to start, and then the failure."""
    clock, server = Hasty(), Server(*[(3, AWAY)] * 99)
    with pytest.raises(grpc.aio.AioRpcError):
        await told(server, clock=clock)
    assert len(server.asked) == Patience().openings_max + 1
    assert clock.slept_s[:4] == [0.1, 0.2, 0.4, 0.8]
    assert 10 < sum(clock.slept_s) < 30


async def test_all_openings_share_the_callers_time() -> None:
    """Each is told what is left, and none begins that would come too late."""
    clock, server = Hasty(), Server(*[(3, AWAY)] * 99)
    with pytest.raises(grpc.aio.AioRpcError):
        await told(server, clock=clock, timeout=1.0)
    assert server.timeouts == [pytest.approx(one) for one in (1.0, 0.9, 0.7, 0.3)]
    assert clock.monotonic_s() <= 1.0


@pytest.mark.parametrize(
    ("at", "how"),
    [
        (0, ITS_WORD),
        (2, Refusal(_CODE.ABORTED, "lost", "STREAM_NOT_RESUMABLE", "tandem.models.v1")),
        (2, Refusal(_CODE.INTERNAL, "a defect", "INTERNAL", "tandem.type.v1")),
        (2, Refusal(_CODE.DEADLINE_EXCEEDED, "late", "", "")),
        (
            0,
            Refusal(
                _CODE.UNAVAILABLE, "no", "DOWNSTREAM_UNAVAILABLE", "tandem.type.v1", final=True
            ),
        ),
    ],
)
async def test_what_opening_again_does_not_mend_is_told_at_once(at: int, how: Refusal) -> None:
    """An agent's own word before anything was told, and whatever says that nobody went away."""
    server = Server((at, how))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await told(server)
    assert caught.value.code() is how.code
    assert len(server.asked) == 1


async def test_an_agents_own_failure_in_the_midst_is_tried_once_more() -> None:
    """Its backend broke off: behind the cut it may be there again, and if not that is its word."""
    assert await told(Server((2, ITS_WORD))) == WORDS
    server = Server((2, ITS_WORD), (2, ITS_WORD))
    with pytest.raises(grpc.aio.AioRpcError):
        await told(server)
    assert len(server.asked) == 2


async def test_a_stream_without_tokens_is_not_begun_again() -> None:
    """It would tell its words twice."""

    class Untold(Call):
        async def __aiter__(self) -> AsyncIterator[pb.StreamChatResponse]:
            yield pb.StreamChatResponse(text="a")
            raise error(AWAY)

    server = Server()

    def stream(_request: object, timeout: float | None) -> Call:
        server.timeouts.append(timeout)
        return Untold(server, 0)

    with pytest.raises(grpc.aio.AioRpcError):
        _ = [part async for part in resuming(stream, pb.StreamChatRequest(), clock=Hasty())]


async def test_who_stops_listening_ends_the_call() -> None:
    """Nobody goes on with what nobody hears."""
    server = Server()
    stream = resuming(server.stream, pb.StreamChatRequest(), clock=Hasty())
    assert (await anext(stream)).text == WORDS[0]
    await stream.aclose()
    assert server.cancelled == 1


def test_the_contract_says_which_streams_go_on() -> None:
    """By a token on both sides."""
    methods = {one.name: one for one in Contract.of(pb.DESCRIPTOR).methods}
    assert is_resumable(methods["StreamChat"])
    assert is_resumable(methods["StreamComplete"])
    assert not is_resumable(methods["Chat"])
    assert not any(map(is_resumable, Contract.of(answers.DESCRIPTOR).methods))
