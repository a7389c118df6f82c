"""A request to the coordinator, as `ask` and `chat` make it and show what is answered."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TextIO

import click
import grpc

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.language.v1 import request_coordinator_service_pb2_grpc as rpc
from tandemkit.cli import harmless
from tandemkit.cli.answer_text import shortfall_line
from tandemkit.cli.failure import FailedCall, describe
from tandemkit.cli.waiting import waiting
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.rpc.resuming import Patience, resuming

WITHIN_S: Final = 30.0
# Where nobody is there at all, a person is told so at once.
_PATIENCE: Final = Patience(beginnings_max=1)
_ADVICE: Final = {
    "UNAVAILABLE": "start the fleet with ./tandem up, or see ./tandem status for what is missing",
    "DEADLINE_EXCEEDED": "ask again with more time (--within-s), or see ./tandem status",
    "UNIMPLEMENTED": "the fleet is older than this command; restart it with ./tandem up",
    "RESOURCE_EXHAUSTED": "it has more to do than it can; ask again in a moment",
}
_CLOCK: Final = SystemClock()
_PREFIX: Final = "ROUTE_"
_ANY: Final = "UNSPECIFIED"
ROUTES: Final = tuple(
    name.removeprefix(_PREFIX).lower() for name, number in nouns.Route.items() if number
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How everything is asked. Empty, or None, is as the coordinator has it."""

    route: str | None = None
    namespace: str = ""
    model: str = ""
    session: str = ""
    within_s: float = WITHIN_S

    def request(self, text: str) -> pb.StreamAskRequest:
        return pb.StreamAskRequest(
            text=text.encode(errors="surrogateescape").decode(errors="replace"),
            namespace=self.namespace,
            model=self.model,
            session=self.session,
            route=nouns.Route.Value(f"{_PREFIX}{(self.route or _ANY).upper()}"),
        )


async def answered(
    channel: grpc.aio.Channel,
    text: str,
    wanted: Wanted,
    show: Callable[[str], None],
    clock: Clock = _CLOCK,
) -> pb.AskResponse:
    """Shows the text as it comes, harmless; who has no part in it is said on stderr, and on a
    terminal that nobody has said anything yet. Raises grpc.RpcError.
    """
    finished = pb.AskResponse()
    async with AsyncExitStack() as silence:
        if sys.stderr.isatty():
            await silence.enter_async_context(waiting(sys.stderr, "asking", str, clock))
        async for event in _events(channel, wanted.request(text), wanted.within_s):
            kind = event.WhichOneof("event")
            if kind != "started":
                await silence.aclose()
            match kind:
                case "piece":
                    show(harmless.lines(event.piece.text))
                case "shortfall":
                    click.echo(f"tandem: {shortfall_line(event.shortfall)}", err=True)
                case "finished":
                    finished = event.finished
    return finished


async def _events(
    channel: grpc.aio.Channel, request: pb.StreamAskRequest, within_s: float
) -> AsyncIterator[pb.StreamAskResponse]:
    stub: Any = rpc.RequestCoordinatorServiceStub(channel)
    async for event in resuming(stub.StreamAsk, request, patience=_PATIENCE, timeout=within_s):
        yield event


def stdin() -> TextIO:
    """Bytes in it that are no text are marked as such: a diff may hold some."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin


def said(text: str) -> None:
    """On stdout, at once."""
    click.echo(text, nl=False)
    sys.stdout.flush()


def failed(error: grpc.RpcError) -> FailedCall:
    """The failure, with what to do about it."""
    told = describe(error)
    advice = _ADVICE.get(told.code, "")
    if advice and "./tandem" not in told.message:
        told.message = f"{told.message}; {advice}"
    return told
