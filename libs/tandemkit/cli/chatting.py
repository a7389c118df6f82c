"""A conversation: what is said, what slashes mean, and what is known of the last answer."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import click
import grpc

from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.cli.answer_text import UNANSWERED, footer, sources, value_of
from tandemkit.cli.asking import Wanted, answered, failed, said
from tandemkit.cli.credential import shown_at
from tandemkit.cli.harmless import json_text, one_line
from tandemkit.core import ids
from tandemkit.core.environment import Environment

HELP: Final = """\
/sources      on what the last answer stands
/model NAME   the language model that is asked from now on; without NAME, the default one
/new          begin anew: what was said before is not known any more
/help         this
/exit         leave, as Ctrl-D does
Ctrl-C stops an answer."""
_DEFAULT_NAMESPACE: Final = "default"
LEAVE: Final = frozenset({"/exit", "/quit", "exit", "quit"})


class Talk:
    """One person's, over one channel. `failures` are calls that failed."""

    def __init__(self, wanted: Wanted, session: str, *, as_json: bool) -> None:
        self._wanted, self._as_json = wanted, as_json
        self._last = pb.AskResponse()
        self._open = AsyncExitStack()
        self._channel: grpc.aio.Channel | None = None
        self.failures = 0
        self._begin(session or _made())

    @property
    def session(self) -> str:
        """By the name that `--session` takes."""
        return self._wanted.session.rpartition("/")[2]

    async def open(self, address: str) -> None:
        self._channel = await self._open.enter_async_context(shown_at(address, Environment.read()))

    async def close(self) -> None:
        await self._open.aclose()

    async def say(self, line: str) -> None:
        """Shows what is answered; a call that failed is told, and the conversation goes on."""
        assert self._channel is not None
        show = _nothing if self._as_json else said
        try:
            self._last = await answered(self._channel, line, self._wanted, show)
        except grpc.RpcError as error:
            self.failures += 1
            self._tell_failure(error)
            return
        if self._as_json:
            click.echo(json_text(json.dumps(value_of(self._last), ensure_ascii=False)))
            return
        click.echo("" if self._last.answer else f"tandem: {UNANSWERED}")
        click.secho(footer(self._last), dim=True)

    def obey(self, line: str) -> None:
        """What begins with a slash."""
        word, _, rest = line.partition(" ")
        match word:
            case "/help":
                click.echo(HELP)
            case "/sources":
                told = list(sources(self._last)) or ["the last answer stands on nothing stored"]
                click.echo("\n".join(told))
            case "/model":
                self._wanted = replace(self._wanted, model=rest.strip())
                click.echo(f"asking {one_line(rest.strip()) or 'the default model'} from now on")
            case "/new":
                self._begin(_made())
                click.echo(f"a new conversation, {self.session}")
            case _:
                click.echo(f"there is no {one_line(word)}; /help says what there is")

    def _begin(self, session: str) -> None:
        namespace = self._wanted.namespace or _DEFAULT_NAMESPACE
        name = f"namespaces/{namespace}/sessions/{session}"
        self._wanted, self._last = replace(self._wanted, session=name), pb.AskResponse()

    def _tell_failure(self, error: grpc.RpcError) -> None:
        told = failed(error)
        if self._as_json:
            click.echo(json.dumps({"error": told.as_dict()}))
        else:
            click.echo(f"tandem: {told.as_text()}", err=True)


def _made() -> str:
    return f"chat-{ids.span_id()}"


def _nothing(_text: str) -> None:
    """A program reads the answer as a whole."""
