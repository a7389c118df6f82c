"""Bodies that nobody meant: each is understood, or refused with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.http.openai import chat, completion, embedding, fronting
from services.gateway.http.openai.errors import Refused
from services.gateway.http.openai.fields import body_of

_WORDS = (
    "user",
    "tool",
    "function",
    "text",
    "json_schema",
    "auto",
    "model",
    "tandem",
    "\ud800",
    "",
)
_NAMES = sorted(
    {
        *chat.SETTERS,
        *completion.SETTERS,
        *("input", "encoding_format", "dimensions", "session", "route", "schema", "json_schema"),
        *("role", "content", "tool_calls", "tool_call_id", "id", "type", "function", "name"),
        *("arguments", "parameters", "strict", "description", "text", "refusal", "\ud800"),
    }
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(_WORDS)
    | st.text(st.characters(exclude_categories=()), max_size=5)
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
_MESSAGES = st.fixed_dictionaries({"role": st.sampled_from(("user", "assistant", "tool"))}).flatmap(
    lambda said: st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=4).map(
        lambda more: {**more, **said}
    )
)
_BODIES = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=6) | st.fixed_dictionaries(
    {"messages": st.lists(_MESSAGES, max_size=3)},
    optional=dict.fromkeys(("tools", "tool_choice", "response_format", "stop"), _VALUES),
)


def _embedded(body: dict[str, Any]) -> object:
    return list(embedding.asked_of(body).requests())


@pytest.mark.parametrize(
    "read",
    [chat.request_of, completion.requests_of, _embedded, fronting.request_of],
    ids=["chat", "completions", "embeddings", "tandem"],
)
@given(body=_BODIES)
@example(body={"input": "\ud800"})
@example(body={"prompt": "\ud800"})
@example(body={"prompt": ["a", "\ud800"]})
def test_a_body_is_a_request_or_is_refused(
    read: Callable[[dict[str, Any]], object], body: dict[str, Any]
) -> None:
    """It breaks nothing, and why it is refused can be written."""
    try:
        read(json.loads(json.dumps(body)))
    except Refused as refused:
        refused.answer.body.encode()


@given(depth=st.integers(800, 1000))
def test_a_schema_that_is_nested_deeply_breaks_nothing(depth: int) -> None:
    """It can be read a little deeper than it can be written."""
    sent = b'{"tools":[{"type":"function","function":{"name":"f","parameters":'
    sent += b'{"a":' * depth + b"1" + b"}" * depth + b'}}],"messages":[{"role":"user"}]}'
    try:
        chat.request_of(body_of(sent))
    except Refused as refused:
        assert refused.answer.status == 400


@given(sent=st.binary(max_size=40) | st.sampled_from([b"[" * 100_000, b"7", b"NaN", b'"\\ud800"']))
def test_bytes_are_a_body_or_are_refused(sent: bytes) -> None:
    """Also what is nested too deeply to be read."""
    try:
        assert isinstance(body_of(sent), dict)
    except Refused as refused:
        assert refused.answer.status == 400
