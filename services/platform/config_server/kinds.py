"""Values by their kind: as they are written in files, and as they are sent."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from google.protobuf.duration_pb2 import Duration

from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.core.errors import Failure
from tandemkit.rpc.validation import violations

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_WHOLE_MIN, _WHOLE_MAX = -(2**63), 2**63 - 1


class Misfit(Failure):
    """The text or value is none of that kind."""


def _flag(text: str) -> nouns.ConfigValue:
    if text not in {"true", "false"}:
        raise Misfit("a flag is `true` or `false`")
    return nouns.ConfigValue(flag=text == "true")


def _whole(text: str) -> nouns.ConfigValue:
    if _WHOLE.fullmatch(text) is None or not _WHOLE_MIN <= int(text) <= _WHOLE_MAX:
        raise Misfit("not a whole number of 64 bits")
    return nouns.ConfigValue(whole=int(text))


def _real(text: str) -> nouns.ConfigValue:
    try:
        number = float(text)
    except ValueError as error:
        raise Misfit("not a number") from error
    if not math.isfinite(number):
        raise Misfit("not a finite number")
    return nouns.ConfigValue(real=number)


def _text(text: str) -> nouns.ConfigValue:
    return nouns.ConfigValue(text=text)


def _texts(text: str) -> nouns.ConfigValue:
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    return nouns.ConfigValue(texts=nouns.ConfigTexts(texts=parts))


def _duration(text: str) -> nouns.ConfigValue:
    duration = Duration()
    try:
        duration.FromJsonString(text)
    except ValueError as error:
        raise Misfit("a length of time is written like `2.5s`") from error
    return nouns.ConfigValue(duration=duration)


def _secret_file(text: str) -> nouns.ConfigValue:
    if not text.startswith("/"):
        raise Misfit("a secret stands in a file of its own: name that by its absolute path")
    return nouns.ConfigValue(secret_file=text)


_READ: Mapping[int, tuple[str, Callable[[str], nouns.ConfigValue]]] = {
    nouns.CONFIG_KIND_FLAG: ("flag", _flag),
    nouns.CONFIG_KIND_WHOLE: ("whole", _whole),
    nouns.CONFIG_KIND_REAL: ("real", _real),
    nouns.CONFIG_KIND_TEXT: ("text", _text),
    nouns.CONFIG_KIND_TEXTS: ("texts", _texts),
    nouns.CONFIG_KIND_DURATION: ("duration", _duration),
    nouns.CONFIG_KIND_SECRET_FILE: ("secret_file", _secret_file),
}


def name_of(kind: int) -> str:
    """As a value's field is called."""
    return _READ[kind][0]


def parsed(text: str, kind: int) -> nouns.ConfigValue:
    """Raises Misfit."""
    value = _READ[kind][1](text)
    if broken := violations(value):
        raise Misfit(broken[0].description)
    return value


def fits(value: nouns.ConfigValue, kind: int) -> bool:
    return value.WhichOneof("value") == name_of(kind)
