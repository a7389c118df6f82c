"""/v1/completions: the continuation of one prompt, or of several."""

from __future__ import annotations

from typing import Any

from services.gateway.http.openai import sampling
from services.gateway.http.openai.chat import FINISH
from services.gateway.http.openai.errors import absent, invalid
from services.gateway.http.openai.fields import Setter, fill, ignored, items, text
from services.gateway.http.openai.json_text import quoted
from services.gateway.http.openai.quoting import beside, model_of, name_of, usage_json
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb

PROMPTS_MAX = 128
SETTERS: dict[str, Setter] = {**sampling.COMPLETION_SETTERS, "prompt": ignored}


def requests_of(body: dict[str, Any]) -> list[Any]:
    """What the models are asked, one for each prompt. Raises Refused."""
    kind: Any = pb.StreamCompleteRequest if sampling.streams(body) else pb.CompleteRequest
    request = kind()
    fill(request, body, SETTERS)
    found = []
    for prompt in _prompts(body.get("prompt")):
        one = kind(prompt=prompt)
        one.MergeFrom(request)
        found.append(one)
    return found


def _prompts(value: object) -> list[str]:
    if isinstance(value, str):
        return [text(value, "prompt")]
    if value is None:
        raise invalid("'prompt' is missing", "prompt", "missing_required_parameter")
    found = items(value, "prompt")
    if not 0 < len(found) <= PROMPTS_MAX:
        raise invalid(f"'prompt' has to have 1 to {PROMPTS_MAX} items", "prompt")
    if isinstance(found[0], (int, list)):
        raise absent("prompts of tokens are not here: send texts", "prompt")
    return [text(one, f"prompt[{at}]") for at, one in enumerate(found)]


def answer_json(responses: list[pb.CompleteResponse]) -> str:
    """All of them are one answer, of the first's name."""
    first, usage = responses[0], chat.Usage()
    for one in responses:
        usage.prompt_tokens += one.usage.prompt_tokens
        usage.completion_tokens += one.usage.completion_tokens
        usage.is_estimated |= one.usage.is_estimated
    choices = ",".join(
        f'{{"text":{quoted(one.text)},"index":{at},"logprobs":null,'
        f'"finish_reason":{FINISH.get(one.finish_reason, "null")}}}'
        for at, one in enumerate(responses)
    )
    return (
        f'{{"id":{quoted(name_of(first))},"object":"text_completion",'
        f'"created":{first.created.seconds},"model":{quoted(model_of(first.answerer))},'
        f'"choices":[{choices}],"usage":{usage_json(usage)},{beside(first.answerer, ())}}}'
    )


class Chunks:
    """The events of one answer, which may be to several prompts."""

    def __init__(self, first: pb.StreamCompleteResponse, *, tells_usage: bool) -> None:
        self._begun = (
            f'data: {{"id":{quoted(name_of(first))},"object":"text_completion",'
            f'"created":{first.created.seconds},"model":{quoted(model_of(first.answerer))},'
            f'{beside(first.answerer, ())},"choices":['
        )
        self._tells_usage = tells_usage
        self._usage = ',"usage":null' if tells_usage else ""
        self._spent = chat.Usage()

    def of(self, at: int, message: pb.StreamCompleteResponse) -> str:
        """No event, or one, of the prompt of that number."""
        if message.HasField("usage"):
            self._spent.prompt_tokens += message.usage.prompt_tokens
            self._spent.completion_tokens += message.usage.completion_tokens
            self._spent.is_estimated |= message.usage.is_estimated
        finish = FINISH.get(message.finish_reason, "null")
        if not message.text and finish == "null":
            return ""
        return (
            f'{self._begun}{{"text":{quoted(message.text)},"index":{at},"logprobs":null,'
            f'"finish_reason":{finish}}}]{self._usage}}}\n\n'
        )

    def end(self) -> str:
        """What all of it cost, where that is asked for."""
        if not self._tells_usage:
            return ""
        return f'{self._begun}],"usage":{usage_json(self._spent)}}}\n\n'
