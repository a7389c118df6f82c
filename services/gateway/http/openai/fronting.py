"""The model `tandem`: no language model, but the agent that finds out who can answer. What it says
is told as an answer of tandem.models.v1 is, and where it was found out beside that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from services.gateway.http.openai import chat
from services.gateway.http.openai.errors import absent, invalid
from services.gateway.http.openai.fields import choice, text
from services.gateway.http.openai.json_text import encoded, quoted
from services.gateway.http.openai.quoting import beside, word_of
from tandem.language.v1 import answer_pb2 as answering
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.models.v1 import chat_pb2 as noun
from tandem.models.v1 import model_service_pb2 as models

NAME: Final = "tandem"
_OWN: Final = ("session", "route")
_ROUTES: Final = {
    name.removeprefix("ROUTE_").lower(): number
    for name, number in answering.Route.items()
    if number
}
_SPEAKERS: Final = {
    noun.CHAT_ROLE_SYSTEM: pb.SPEAKER_SYSTEM,
    noun.CHAT_ROLE_USER: pb.SPEAKER_USER,
    noun.CHAT_ROLE_ASSISTANT: pb.SPEAKER_ASSISTANT,
}
_NOBODY: Final = "Nobody who was asked knows an answer."


def is_asked(body: dict[str, Any]) -> bool:
    """`tandem`, or `tandem/MODEL` where that is the language model for what needs one."""
    model = body.get("model")
    return isinstance(model, str) and (model == NAME or model.startswith(f"{NAME}/"))


def request_of(body: dict[str, Any]) -> pb.AskRequest | pb.StreamAskRequest:
    """The last message is asked; those before it are what was said. Raises Refused."""
    said = chat.request_of({name: one for name, one in body.items() if name not in _OWN})
    streamed = isinstance(said, models.StreamChatRequest)
    request = pb.StreamAskRequest() if streamed else pb.AskRequest()
    if said.tools or said.HasField("form") or said.tool_choice.WhichOneof("choice"):
        name = "response_format" if said.HasField("form") else "tools"
        raise absent(f"'{name}' is not here for the model '{NAME}': ask a language model", name)
    *before, last = said.messages
    if last.role != noun.CHAT_ROLE_USER:
        raise invalid("the last message has to be the user's", f"messages[{len(before)}].role")
    request.text, request.namespace = last.content, said.namespace
    request.model = said.model.removeprefix(NAME).removeprefix("/")
    for at, one in enumerate(before):
        speaker = _SPEAKERS.get(one.role)
        if speaker is None:
            raise absent("tools are not here for this model", f"messages[{at}].role")
        request.history.add(speaker=speaker, text=one.content)
    if body.get("session") is not None:
        request.session = text(body["session"], "session")
    if body.get("route") is not None:
        request.route = choice(body["route"], _ROUTES, "route")
    return request


def answer_json(answer: pb.AskResponse, created_s: int) -> str:
    told = models.ChatResponse(
        message=noun.ChatMessage(content=answer.answer or _NOBODY),
        finish_reason=noun.FINISH_REASON_STOP,
        sources=_sources(answer),
    )
    return (
        f'{{"id":{quoted(_name(answer.correlation_id))},"object":"chat.completion",'
        f'"created":{created_s},"model":"{NAME}","choices":[{chat.choice_json(told)}],'
        f'"usage":null,{_beside(answer, told.sources)}}}'
    )


class Chunks:
    """Those of one answer, by what the agent tells."""

    def __init__(self, started: pb.Started, created_s: int, *, tells_usage: bool) -> None:
        begun = chat.Begun(_name(started.correlation_id), created_s, NAME, None)
        # What it cost is nobody's to say: several may have had a part in it.
        self._chunks = chat.Chunks(begun, tells_usage=tells_usage)
        self._is_silent = True
        self.begin = self._chunks.begin

    def of(self, told: pb.StreamAskResponse) -> str:
        """No event, one, or several."""
        if told.WhichOneof("event") == "piece":
            self._is_silent = False
            return self._chunks.of(models.StreamChatResponse(text=told.piece.text))
        if told.WhichOneof("event") != "finished":
            return ""
        answer = told.finished
        last = models.StreamChatResponse(
            text=(answer.answer or _NOBODY) if self._is_silent else "",
            finish_reason=noun.FINISH_REASON_STOP,
            sources=_sources(answer),
        )
        return self._chunks.of(last, f",{_beside(answer, ())}")


def _name(correlation_id: str) -> str:
    return f"chatcmpl-{correlation_id}"


def _beside(answer: pb.AskResponse, sources: Collection[noun.QuotedSource]) -> str:
    """Who answered, where it was sent and why, and who should have had a part in it."""
    said = answer.answerer
    answerer = noun.Answerer(
        backend=said.backend,
        model=said.model,
        is_generative=said.is_generative,
        is_fallback=said.is_fallback,
    )
    routing = {
        "route": word_of(answering.Route, answer.routing.route, "ROUTE_"),
        "basis": word_of(answering.RouteBasis, answer.routing.basis, "ROUTE_BASIS_"),
    }
    shortfalls = [
        {"service": one.service, "cause": one.cause, "code": one.code} for one in answer.shortfalls
    ]
    more = encoded({"service": said.service, "routing": routing, "shortfalls": shortfalls})
    return f"{beside(answerer, sources)},{more[1:-1]}"


def _sources(answer: pb.AskResponse) -> list[noun.QuotedSource]:
    return [
        noun.QuotedSource(
            number=one.number,
            name=one.name,
            uri=one.uri,
            headings=one.headings or ([one.title] if one.title else ()),
            quote=one.quote,
            start_char=one.start_char,
            end_char=one.end_char,
        )
        for one in answer.citations
    ]
