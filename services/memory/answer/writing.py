"""Who writes answers: a language model at a server, or nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.memory.answer.context import Context
from tandem.memory.config.v1 import answer_pb2 as cfg
from tandemkit.hosting.scope import Scope
from tandemkit.ml.answering.generated import NOT_ANSWERED, cited, conversation, without_strangers
from tandemkit.ml.servers.server import Server
from tandemkit.reach.failure import Refused

if TYPE_CHECKING:
    from tandemkit.ml.servers.http import Http

_WITHIN_S: Final = 20.0
_TOKENS: Final = 512


@dataclass(frozen=True, slots=True)
class Written:
    """`cited` are numbers of the context's parts, from 1. Without any it answers nothing."""

    text: str
    cited: list[int]


class Writer:
    """Over one connection pool."""

    def __init__(self, settings: cfg.WriterSettings, http: Http) -> None:
        self.model = settings.model
        self._tokens_max = settings.answer_tokens_max or _TOKENS
        self._http = http

    async def write(self, question: str, context: Context) -> Written:
        """Raises Unreachable, Refused: also for an answer that stands on none of the texts."""
        body = {
            "model": self.model,
            "messages": conversation(question, context.text),
            "max_tokens": self._tokens_max,
            "temperature": 0,
        }
        said = await self._http.ask("POST", "/chat/completions", body)
        try:
            text = str(said["choices"][0]["message"]["content"] or "")
        except (LookupError, TypeError) as error:
            raise Refused("the server's answer is no completion", model=self.model) from error
        if NOT_ANSWERED in text:
            return Written("", [])
        count = len(context.parts)
        numbers = cited(text, count)
        if not numbers:
            raise Refused("the model's answer cites none of the texts", model=self.model)
        return Written(without_strangers(text, count), numbers)


@asynccontextmanager
async def writer(scope: Scope, settings: cfg.AnswerSettings) -> AsyncIterator[Writer | None]:
    """The one that the settings name."""
    if not settings.HasField("writer"):
        yield None
        return
    # An HTTP client is 12 MB that nobody pays who has no model.
    from tandemkit.ml.servers.http import connected

    said = settings.writer
    secret = scope.secret(said.key_secret) if said.key_secret else None
    within_s = said.within.ToTimedelta().total_seconds() or _WITHIN_S
    server = Server(said.base_url.rstrip("/"), within_s, secret.reveal if secret else None)
    async with connected(server, scope.clock) as http:
        yield Writer(said, http)
