"""JSON Schema 2020-12 as it is passed around here, and for whom one is written."""

from __future__ import annotations

from enum import Enum
from typing import Any

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Form(Enum):
    """A message has one canonical JSON, and readers take more spellings of it than that."""

    # The one spelling that is best to send, with the contract's rules: for people, language models
    # and generators of clients.
    PREFERRED = "preferred"
    # Every spelling that is read, with the rules: what it refuses, the agent's server refuses too.
    ACCEPTED = "accepted"
    # What answers look like. Nobody holds them to the rules.
    WRITTEN = "written"

    @property
    def is_asked(self) -> bool:
        """Whether it is of what callers send."""
        return self is not Form.WRITTEN


def or_null(schema: Schema) -> Schema:
    """The same value, or none."""
    kinds = schema.get("type")
    if kinds is None or "const" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    wider = schema | {"type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    if "enum" in schema:
        wider["enum"] = [*schema["enum"], None]
    return wider


def without_null(schema: Schema) -> Schema:
    """The same without what `or_null` added."""
    if schema.get("anyOf", [])[1:] == [{"type": "null"}]:
        beside = {name: one for name, one in schema.items() if name != "anyOf"}
        only: Schema = schema["anyOf"][0]
        return beside | only
    kinds = schema.get("type")
    if not isinstance(kinds, list) or "null" not in kinds:
        return schema
    left = [one for one in kinds if one != "null"]
    narrower = schema | {"type": left[0] if len(left) == 1 else left}
    if "enum" in schema:
        narrower["enum"] = [one for one in schema["enum"] if one is not None]
    return narrower


def described(schema: Schema, *texts: str) -> Schema:
    """With what there is to say about it, if anything."""
    said = " ".join(text for text in texts if text)
    return {"description": said, **schema} if said else schema
