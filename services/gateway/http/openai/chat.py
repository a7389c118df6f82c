"""/v1/chat/completions: OpenAI's requests and answers as messages of tandem.models.v1, and back.

Written by hand, string by string: every token of every stream passes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.gateway.http.openai import conversation, sampling
from services.gateway.http.openai.errors import invalid
from services.gateway.http.openai.fields import Setter, fill, ignored, not_here, text
from services.gateway.http.openai.json_text import quoted
from services.gateway.http.openai.quoting import (
    annotations_json,
    beside,
    model_of,
    name_of,
    sources_json,
    usage_json,
)
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb

FINISH = {
    chat.FINISH_REASON_STOP: '"stop"',
    chat.FINISH_REASON_LENGTH: '"length"',
    chat.FINISH_REASON_TOOL_CALLS: '"tool_calls"',
    chat.FINISH_REASON_CONTENT_FILTER: '"content_filter"',
}
# Of an agent that is newer than this and knows more reasons.
_ENDED = '"stop"'
_OLDER = "'tools' took its place"
_NO_AUDIO = "models say text alone"
_UNTOLD = "no backend is told of it"


def _namespace(request: Any, value: object) -> None:
    request.namespace = text(value, "namespace")


SETTERS: dict[str, Setter] = {
    **sampling.CHAT_SETTERS,
    **conversation.SETTERS,
    "namespace": _namespace,
    "functions": not_here("functions", _OLDER, []),
    "function_call": not_here("function_call", _OLDER),
    "modalities": not_here("modalities", _NO_AUDIO, ["text"]),
    "audio": not_here("audio", _NO_AUDIO),
    "store": not_here("store", "no answer is kept", False),
    "web_search_options": not_here("web_search_options", "nothing is searched for", {}),
    "reasoning_effort": not_here("reasoning_effort", _UNTOLD, "none"),
    "verbosity": not_here("verbosity", _UNTOLD, "medium"),
    # What they speed up or note down changes no answer.
    "prediction": ignored,
    "metadata": ignored,
    "service_tier": ignored,
    "safety_identifier": ignored,
    "prompt_cache_key": ignored,
    "prompt_cache_retention": ignored,
}


def request_of(body: dict[str, Any]) -> pb.ChatRequest | pb.StreamChatRequest:
    """What the models are asked. Raises Refused."""
    request = pb.StreamChatRequest() if sampling.streams(body) else pb.ChatRequest()
    fill(request, body, SETTERS)
    if not request.messages:
        raise invalid("'messages' is missing", "messages", "missing_required_parameter")
    return request


def answer_json(response: pb.ChatResponse) -> str:
    answerer, sources = response.answerer, response.sources
    return (
        f'{{"id":{quoted(name_of(response))},"object":"chat.completion",'
        f'"created":{response.created.seconds},"model":{quoted(model_of(answerer))},'
        f'"choices":[{choice_json(response)}],'
        f'"usage":{usage_json(response.usage)},{beside(answerer, sources)}}}'
    )


def choice_json(response: pb.ChatResponse) -> str:
    message, sources = response.message, response.sources
    content = quoted(message.content) if message.content or not message.tool_calls else "null"
    more = ""
    if message.tool_calls:
        more = f',"tool_calls":[{",".join(map(_call, message.tool_calls))}]'
    if sources:
        more += f',"annotations":{annotations_json(message.content, sources)}'
    return (
        f'{{"index":0,"message":{{"role":"assistant","content":{content},'
        f'"refusal":null{more}}},"logprobs":null,'
        f'"finish_reason":{FINISH.get(response.finish_reason, _ENDED)}}}'
    )


def _call(call: chat.ToolCall) -> str:
    return (
        f'{{"id":{quoted(call.id)},"type":"function","function":'
        f'{{"name":{quoted(call.name)},"arguments":{quoted(call.arguments_json)}}}}}'
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """What every event of an answer says. `answerer` None: that is not known before its end."""

    name: str
    created_s: int
    model: str
    answerer: chat.Answerer | None

    @classmethod
    def of(cls, first: pb.StreamChatResponse) -> Begun:
        answerer = first.answerer
        return cls(name_of(first), first.created.seconds, model_of(answerer), answerer)


class Chunks:
    """The events of one answer."""

    def __init__(self, begun: Begun, *, tells_usage: bool) -> None:
        self._begun = (
            f'data: {{"id":{quoted(begun.name)},"object":"chat.completion.chunk",'
            f'"created":{begun.created_s},"model":{quoted(begun.model)},"choices":['
        )
        self._delta = f'{self._begun}{{"index":0,"delta":{{'
        # By OpenAI's rule it is null in every event but the last, or in none.
        self._tells_usage = tells_usage
        self._usage = ',"usage":null' if tells_usage else ""
        self._more = self._end("null")
        self._answerer = begun.answerer
        # What the marks of citations are looked for in; a language model's own words are not kept.
        is_generative = begun.answerer is not None and begun.answerer.is_generative
        self._said: list[str] | None = None if is_generative else []

    def begin(self) -> str:
        """Whose words come, and who says them."""
        more = f",{beside(self._answerer, ())}" if self._answerer is not None else ""
        return (
            f'{self._delta}"role":"assistant","content":"","refusal":null{self._end("null", more)}'
        )

    def of(self, message: pb.StreamChatResponse, more: str = "") -> str:
        """No event, one, or several. `more` are fields of the one that ends it."""
        told = ""
        if text := message.text:
            if self._said is not None:
                self._said.append(text)
            told = f'{self._delta}"content":{quoted(text)}{self._more}'
        if message.tool_calls:
            calls = ",".join(map(_call_delta, message.tool_calls))
            told += f'{self._delta}"tool_calls":[{calls}]{self._more}'
        if message.sources:
            noted = annotations_json("".join(self._said or ()), message.sources)
            end = self._end("null", f',"sources":{sources_json(message.sources)}')
            told += f'{self._delta}"annotations":{noted}{end}'
        if message.finish_reason:
            told += f"{self._delta}{self._end(FINISH.get(message.finish_reason, _ENDED), more)}"
        if self._tells_usage and message.HasField("usage"):
            told += f'{self._begun}],"usage":{usage_json(message.usage)}}}\n\n'
        return told

    def _end(self, finish: str, more: str = "") -> str:
        choice = f'}},"logprobs":null,"finish_reason":{finish}}}]'
        return f"{choice}{self._usage}{more}}}\n\n"


def _call_delta(call: chat.ToolCallDelta) -> str:
    if not call.id:
        said = f'{{"arguments":{quoted(call.arguments_json)}}}'
        return f'{{"index":{call.index},"function":{said}}}'
    function = f'{{"name":{quoted(call.name)},"arguments":{quoted(call.arguments_json)}}}'
    return (
        f'{{"index":{call.index},"id":{quoted(call.id)},"type":"function","function":{function}}}'
    )
