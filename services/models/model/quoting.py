"""Documents of the fleet, asked for what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.models.v1 import chat_pb2 as chat
from tandemkit.ml.generation.quotes import Ask, Quoted

# KnowledgeBaseService.Ask. Raises Unreachable, whatever the failure is.
Documents: TypeAlias = Callable[[knowledge.AskRequest], Awaitable[knowledge.AskResponse]]


def quoting(documents: Documents) -> Ask:
    """They are asked in our name: our caller's right was looked at before."""

    async def ask(question: str, namespace: str) -> Quoted:
        said = await documents(knowledge.AskRequest(question=question, namespace=namespace))
        return Quoted(
            said.answer if said.is_answered else "",
            [
                chat.QuotedSource(
                    number=one.number,
                    name=one.name,
                    uri=one.uri,
                    headings=one.headings,
                    quote=one.quote,
                    start_char=one.span.start_char,
                    end_char=one.span.end_char,
                )
                for one in said.citations
            ],
        )

    return ask
