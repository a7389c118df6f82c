"""What an answer says beside OpenAI's own fields: who gave it, and what it stands on."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from typing import Any

from services.gateway.http.openai.json_text import encoded
from tandem.models.v1 import chat_pb2 as chat

_BEGINNINGS = {"chat": "chatcmpl", "text": "cmpl"}
_MARK = re.compile(r"\[(\d{1,4})\]")


def name_of(answer: Any) -> str:
    """Its id. OpenAI's begin with what they are."""
    kind, _, name = answer.response_id.partition("-")
    return f"{_BEGINNINGS.get(kind, kind)}-{name}"


def word_of(kind: Any, number: int, beginning: str) -> str:
    """A value of an enum in lower case, without what all of them begin with."""
    found = kind.DESCRIPTOR.values_by_number.get(number)
    # An agent that is newer than this has more of them.
    return found.name.removeprefix(beginning).lower() if found else str(number)


def model_of(answerer: chat.Answerer) -> str:
    """Its public name."""
    return f"{answerer.backend}/{answerer.model}" if answerer.model else answerer.backend


def beside(answerer: chat.Answerer, sources: Collection[chat.QuotedSource]) -> str:
    """The fields `answerer` and, where the answer stands on some, `sources`."""
    told = _answerer_json(
        answerer.backend,
        answerer.model,
        is_generative=answerer.is_generative,
        is_fallback=answerer.is_fallback,
        cause=answerer.fallback_cause,
    )
    return f'{told},"sources":{sources_json(sources)}' if sources else told


@functools.lru_cache(maxsize=256)
def _answerer_json(
    backend: str, model: str, *, is_generative: bool, is_fallback: bool, cause: str
) -> str:
    """Few answer much."""
    said = {
        "backend": backend,
        "model": model,
        "is_generative": is_generative,
        "is_fallback": is_fallback,
        **({"fallback_cause": cause} if cause else {}),
    }
    return f'"answerer":{encoded(said)}'


def sources_json(sources: Iterable[chat.QuotedSource]) -> str:
    """Each with the number that the answer cites it by."""
    return encoded(
        [
            {
                "number": one.number,
                "name": one.name,
                "uri": one.uri,
                "headings": list(one.headings),
                "quote": one.quote,
            }
            for one in sources
        ]
    )


def usage_json(usage: chat.Usage) -> str:
    asked, answered = usage.prompt_tokens, usage.completion_tokens
    guess = ',"is_estimated":true' if usage.is_estimated else ""
    return (
        f'{{"prompt_tokens":{asked},"completion_tokens":{answered},'
        f'"total_tokens":{asked + answered}{guess}}}'
    )


def annotations_json(text: str, sources: Iterable[chat.QuotedSource]) -> str:
    """Citations as OpenAI has them: where each mark stands in the text, and what for."""
    by_number = {one.number: one for one in sources}
    found = []
    for mark in _MARK.finditer(text):
        source = by_number.get(int(mark[1]))
        if source is None:
            continue
        cited = {
            "start_index": mark.start(),
            "end_index": mark.end(),
            "url": source.uri or source.name,
            "title": " / ".join(source.headings) or source.uri or source.name,
        }
        found.append({"type": "url_citation", "url_citation": cited})
    return encoded(found)
