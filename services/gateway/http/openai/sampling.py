"""How a model chooses its words, as chat and completions say it alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.gateway.http.openai.errors import absent
from services.gateway.http.openai.fields import (
    Setter,
    count,
    flag,
    ignored,
    items,
    mapping,
    not_here,
    number,
    text,
    whole,
)


def _of(name: str, read: Callable[[object, str], Any], target: str = "") -> Setter:
    place = target or name

    def set_field(request: Any, value: object) -> None:
        setattr(request.sampling, place, read(value, name))

    return set_field


def _stop(request: Any, value: object) -> None:
    if isinstance(value, str):
        request.sampling.stop.append(value)
        return
    request.sampling.stop.extend(
        text(one, f"stop[{at}]") for at, one in enumerate(items(value, "stop"))
    )


def _number_of_answers(name: str) -> Setter:
    def check(_request: Any, value: object) -> None:
        if count(value, name) != 1:
            raise absent(f"'{name}' is 1 here: ask as often as there shall be answers", name)

    return check


def _model(request: Any, value: object) -> None:
    request.model = text(value, "model")


def _stream(_request: Any, value: object) -> None:
    """Which message it is was chosen by it."""
    flag(value, "stream")


def _stream_options(_request: Any, value: object) -> None:
    for name, said in mapping(value, "stream_options").items():
        if said is not None:
            flag(said, f"stream_options.{name}")


# `max_tokens` is the older name of `max_completion_tokens`, which counts where both are there.
def _tokens_max(request: Any, value: object) -> None:
    if not request.sampling.tokens_max:
        request.sampling.tokens_max = count(value, "max_tokens")


_NO_ODDS = "a model's odds are not told"
SETTERS: dict[str, Setter] = {
    "model": _model,
    "stream": _stream,
    "stream_options": _stream_options,
    "temperature": _of("temperature", number),
    "top_p": _of("top_p", number),
    "presence_penalty": _of("presence_penalty", number),
    "frequency_penalty": _of("frequency_penalty", number),
    "seed": _of("seed", whole),
    "max_tokens": _tokens_max,
    "stop": _stop,
    "n": _number_of_answers("n"),
    "logit_bias": not_here("logit_bias", "no backend is told of single tokens", {}),
    "user": ignored,
}
COMPLETION_SETTERS: dict[str, Setter] = {
    **SETTERS,
    "best_of": _number_of_answers("best_of"),
    "echo": not_here("echo", "put the prompt before the answer yourself", False),
    "suffix": not_here("suffix", "nothing is filled in between two texts", ""),
    "logprobs": not_here("logprobs", _NO_ODDS),
}
CHAT_SETTERS: dict[str, Setter] = {
    **SETTERS,
    "max_completion_tokens": _of("max_completion_tokens", count, "tokens_max"),
    "logprobs": not_here("logprobs", _NO_ODDS, False),
    "top_logprobs": not_here("top_logprobs", _NO_ODDS, 0),
}


def streams(body: dict[str, Any]) -> bool:
    """Whether the answer is asked for as it is made."""
    return body.get("stream") is True


def tells_usage(body: dict[str, Any]) -> bool:
    """Whether a stream's last event shall say what it cost."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
