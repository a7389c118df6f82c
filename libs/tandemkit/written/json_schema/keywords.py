"""Rules of a contract as keywords of a schema; what no keyword can say becomes a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from tandemkit.written.json_schema.forms import Form, Schema
from tandemkit.written.json_schema.patterns import shared
from tandemkit.written.json_schema.rules import FORMATS, Rules

_WORDS = {
    "const": "Is {}.",
    "gte": "At least {}.",
    "gt": "More than {}.",
    "lte": "At most {}.",
    "lt": "Less than {}.",
    "in": "One of {}.",
    "not_in": "None of {}.",
    "pattern": "Matches `{}`.",
    "min_bytes": "At least {} bytes of UTF-8.",
    "max_bytes": "At most {} bytes of UTF-8.",
    "len_bytes": "{} bytes of UTF-8.",
    "within": "Within {} of now.",
    "lt_now": "In the past.",
    "gt_now": "In the future.",
}
_LIMITS = {
    "gte": "minimum",
    "gt": "exclusiveMinimum",
    "lte": "maximum",
    "lt": "exclusiveMaximum",
}
_COUNTS = {
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique": "uniqueItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
}
_PARTS = {"prefix": "^{}", "suffix": "{}$", "contains": "{}"}
# What other functions here make of a rule, or the schemas of what is below.
_ELSEWHERE = {"items", "keys", "values", "finite"}
Told = tuple[Schema, list[str]]


def ruled(schema: Schema, rules: Rules, form: Form) -> Told:
    """The schema with the rules' keywords, and the rest as sentences."""
    keywords, rest = _of_kind(schema, rules, form)
    if rules.is_required:
        keywords = _not_empty(schema) | keywords
    merged = _merged(schema, keywords)
    if rules.spare_zero and form is Form.ACCEPTED and keywords and "type" in schema:
        merged = {"anyOf": [merged, _empty(schema)]}
    said = [_WORDS.get(name, f"{name}: {{}}.").format(_text(value)) for name, value in rest.items()]
    return merged, [*said, *rules.sentences]


def _of_kind(schema: Schema, rules: Rules, form: Form) -> tuple[Schema, dict[str, Any]]:
    """The keywords, and the rules that have none."""
    said = {name: value for name, value in rules.said.items() if name not in _ELSEWHERE}
    if rules.kind == "enum":
        return {}, {}
    if rules.kind == "string":
        return _string(said)
    if rules.kind == "bytes":
        return _bytes(said)
    if rules.kind in {"repeated", "map"}:
        return {_COUNTS[name]: value for name, value in said.items()}, {}
    if rules.kind == "bool":
        return ({"const": said["const"]} if said else {}), {}
    if "format" not in schema or rules.kind in {"timestamp", "duration"}:
        return {}, said
    return _number(said, schema, form, is_outside=rules.is_outside)


def _string(said: Mapping[str, Any]) -> tuple[Schema, dict[str, Any]]:
    keywords: Schema = {}
    rest = dict(said)
    if "len" in rest:
        keywords["minLength"] = keywords["maxLength"] = rest.pop("len")
    for name, keyword in (("min_len", "minLength"), ("max_len", "maxLength")):
        if name in rest:
            keywords[keyword] = rest.pop(name)
    # Bytes are no fewer than characters, and at most four times as many; the sentence is exact.
    least = rest.get("len_bytes", rest.get("min_bytes", 0))
    most = rest.get("len_bytes", rest.get("max_bytes"))
    if least:
        keywords["minLength"] = max(keywords.get("minLength", 0), math.ceil(least / 4))
    if most is not None:
        keywords["maxLength"] = min(keywords.get("maxLength", most), most)
    keywords |= _choices(rest, lambda value: [value])
    patterns = _patterns(rest)
    if len(patterns) == 1:
        keywords["pattern"] = patterns[0]
    elif patterns:
        keywords["allOf"] = [{"pattern": text} for text in patterns]
    for name in FORMATS:
        if rest.pop(name, False):
            keywords["format"] = FORMATS[name]
    return keywords, rest


def _patterns(rest: dict[str, Any]) -> list[str]:
    """Rules that are patterns, taken out of the rest; a contract's own stays where no other reader
    would understand it.
    """
    found = [
        form.format(re.escape(rest.pop(name))) for name, form in _PARTS.items() if name in rest
    ]
    if own := shared(rest.get("pattern", "")):
        found.append(own)
        del rest["pattern"]
    return found


def _bytes(said: Mapping[str, Any]) -> tuple[Schema, dict[str, Any]]:
    """Lengths are those of base64: with or without the signs that fill it up."""
    keywords: Schema = {}
    rest = dict(said)
    least, most = rest.pop("min_len", rest.get("len", 0)), rest.pop("max_len", rest.get("len"))
    rest.pop("len", None)
    if least:
        keywords["minLength"] = math.ceil(least * 4 / 3)
    if most is not None:
        keywords["maxLength"] = 4 * math.ceil(most / 3)
    return keywords, rest


def _number(
    said: Mapping[str, Any], schema: Schema, form: Form, *, is_outside: bool
) -> tuple[Schema, dict[str, Any]]:
    rest = dict(said)
    as_text = schema["type"] == "string"

    def spelled(value: Any) -> list[Any]:
        if form is Form.ACCEPTED:
            return [value, str(value)]
        return [str(value) if as_text else value]

    keywords = _choices(rest, spelled)
    if not as_text and not is_outside:
        keywords |= {_LIMITS[name]: rest.pop(name) for name in _LIMITS if name in rest}
    return keywords, rest


def _choices(rest: dict[str, Any], spelled: Any) -> Schema:
    """`const`, `in` and `not_in`, taken out of the rest."""
    keywords: Schema = {}
    allowed = [rest.pop("const")] if "const" in rest else rest.pop("in", None)
    if allowed is not None:
        keywords["enum"] = [one for value in allowed for one in spelled(value)]
    if refused := rest.pop("not_in", None):
        keywords["not"] = {"enum": [one for value in refused for one in spelled(value)]}
    return keywords


def _not_empty(schema: Schema) -> Schema:
    """Of a required field without presence: anything but its zero."""
    match schema.get("type"):
        case "array":
            return {"minItems": 1}
        case "object" if "additionalProperties" in schema:
            return {"minProperties": 1}
        case "boolean":
            return {"const": True}
        case "string" if schema.get("format", "").startswith(("int", "uint")):
            return {"not": {"enum": ["0"]}}
        case "string":
            return {"minLength": 1}
        case [*_] | "integer" | "number":
            return {"not": {"enum": [0, "0"]}}
    return {}


def _empty(schema: Schema) -> Schema:
    kinds = schema["type"]
    first = kinds if isinstance(kinds, str) else kinds[0]
    zeros = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return {"const": zeros[first]}


def _merged(schema: Schema, keywords: Schema) -> Schema:
    """Narrower in every keyword that both have."""
    merged = schema | keywords
    for name, narrower in (("minimum", max), ("maximum", min)):
        if name in schema and name in keywords:
            merged[name] = narrower(schema[name], keywords[name])
    if "pattern" in schema and "pattern" in keywords:
        merged["pattern"] = schema["pattern"]
        merged["allOf"] = [{"pattern": keywords["pattern"]}]
    return merged


def _text(value: Any) -> str:
    if isinstance(value, Message):
        write = getattr(value, "ToJsonString", None)
        return write() if write else str(value)
    if isinstance(value, (str, bytes, int, float)):
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return ", ".join(_text(one) for one in value)
