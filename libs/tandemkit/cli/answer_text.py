"""What a person reads of an answer besides its text: on what it stands, who gave it, who did not.
All of it was written by others, so it is made harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.cli.harmless import one_line

_ABOVE_CHARS_MAX = 120


def value_of(answer: pb.AskResponse) -> dict[str, Any]:
    """For --json."""
    return json_format.MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def sources(answer: pb.AskResponse) -> Iterator[str]:
    """A line or two for each."""
    for one in answer.citations:
        is_memory = "/memories/" in one.name
        above = " > ".join(dict.fromkeys((one.title, *one.headings))).strip(" >") or one.quote
        place = one.uri or ("what was remembered" if is_memory else one.name)
        yield one_line(f"[{one.number}] {place}: {_cut(above)}")
        yield one_line(f"    {one.name}, characters {one.start_char} to {one.end_char}")


def _cut(text: str) -> str:
    return text if len(text) <= _ABOVE_CHARS_MAX else f"{text[:_ABOVE_CHARS_MAX]}..."


def footer(answer: pb.AskResponse) -> str:
    """Who answered, how, from where, and in what time."""
    route = nouns.Route.Name(answer.routing.route).removeprefix("ROUTE_").lower()
    took_s = answer.took.ToTimedelta().total_seconds()
    said = f"{who(answer.answerer)} · {route} · {took_s:.2f} s · {answer.correlation_id}"
    return one_line(said)


def who(answerer: nouns.Answerer) -> str:
    """The backend that answered, and whether a language model wrote what it said."""
    backend = answerer.backend or "nobody"
    if not answerer.is_generative:
        how = "quotes, no language model" if backend == "extractive" else "no language model"
        return f"{backend} ({how})"
    stands_in = ", standing in for another" if answerer.is_fallback else ""
    return f"{backend}/{answerer.model} (language model{stands_in})"


def shortfall_line(one: nouns.Shortfall) -> str:
    """Who has no part in the answer, or not all of it."""
    name = one.service.rpartition(".")[2].removesuffix("Service")
    if not one.code:
        return one_line(f"{name} answered, but {one.cause}")
    return one_line(f"{name} has no part in the answer: {one.cause}")


UNANSWERED = (
    "nobody who was asked knows; ask in other words, or see what there is: "
    './tandem call KnowledgeBase/ListDocuments \'{"namespace": "tandem-docs"}\''
)
