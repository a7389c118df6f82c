"""How a model is to choose its words, in the JSON of Triton's backends for language models."""

from __future__ import annotations

from typing import Any, Final

from services.gateway.kserve.refusal import bad_tensor
from tandem.models.v1.chat_pb2 import Sampling
from tandemkit.core.json_value import parsed

# By their names there, each with ours and how it is read: some clients write numbers as texts.
_NUMBERS: Final = {
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "presence_penalty": ("presence_penalty", float),
    "frequency_penalty": ("frequency_penalty", float),
    "max_tokens": ("tokens_max", int),
    "seed": ("seed", int),
}
_STOP: Final = "stop"


def read(said: str, name: str) -> Sampling:
    """Raises CallerError, which names the input `name`."""
    try:
        given = parsed(said)
    except ValueError as error:
        raise bad_tensor(f"input `{name}` is no JSON: {error}", name) from error
    if not isinstance(given, dict):
        raise bad_tensor(f"input `{name}` is no JSON object", name)
    found = Sampling()
    for key, value in given.items():
        if key == _STOP:
            found.stop.extend(_texts(value, name))
        elif key in _NUMBERS:
            own, kind = _NUMBERS[key]
            setattr(found, own, _number(key, value, kind, name))
        else:
            listed = ", ".join((*_NUMBERS, _STOP))
            raise bad_tensor(f"input `{name}` has `{key}`; it takes {listed}", name)
    return found


def _number(key: str, value: Any, kind: type[int | float], name: str) -> int | float:
    wanted = "a whole number" if kind is int else "a number"
    said = f"`{key}` of input `{name}` is {wanted}"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise bad_tensor(said, name)
    try:
        found = kind(value)
    except (ValueError, OverflowError) as error:
        raise bad_tensor(said, name) from error
    if not isinstance(value, str) and found != value:
        raise bad_tensor(said, name)
    if kind is int and not -(2**63) <= found < 2**63:
        raise bad_tensor(said, name)
    return found


def _texts(value: Any, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise bad_tensor(f"`{_STOP}` of input `{name}` is a text or a list of them", name)
    return texts
