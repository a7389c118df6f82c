"""/v1/chat/completions as messages of tandem.models.v1, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.gateway.http.openai import chat
from services.gateway.http.openai.errors import Refused
from tandem.models.v1 import chat_pb2 as noun
from tandem.models.v1 import model_service_pb2 as pb

ASKED = {"role": "user", "content": "How far?"}


def _request(**fields: object) -> Any:
    return chat.request_of({"model": "m", "messages": [ASKED], **fields})


def _refused(**fields: object) -> Refused:
    with pytest.raises(Refused) as found:
        _request(**fields)
    return found.value


def _events(told: str) -> list[dict[str, Any]]:
    return [json.loads(one.removeprefix("data: ")) for one in told.split("\n\n") if one]


def test_everything_that_chat_says_reaches_the_models() -> None:
    """Roles, parts, tools, forms and how words are chosen."""
    called = {"id": "c1", "type": "function", "function": {"name": "area", "arguments": "{"}}
    messages = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}] * 2},
        {"role": "assistant", "content": None, "tool_calls": [called], "annotations": []},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
    ]
    tool = {"name": "area", "description": "Of a square.", "parameters": {"type": "object"}}
    schema = {"name": "answer", "strict": True, "schema": {"type": "object"}}
    found = _request(
        messages=messages,
        tools=[{"type": "function", "function": tool}],
        tool_choice={"type": "function", "function": {"name": "area"}},
        response_format={"type": "json_schema", "json_schema": schema},
        temperature=0,
        seed=-3,
        stop="end",
        max_tokens=7,
        max_completion_tokens=9,
        namespace="mine",
        user="somebody",
        n=1,
        logprobs=False,
        presence_penalty=None,
    )
    assert found == pb.ChatRequest(
        model="m",
        messages=[
            noun.ChatMessage(role=noun.CHAT_ROLE_SYSTEM, content="Be short."),
            noun.ChatMessage(role=noun.CHAT_ROLE_USER, content="a\na", name="ann"),
            noun.ChatMessage(
                role=noun.CHAT_ROLE_ASSISTANT,
                tool_calls=[noun.ToolCall(id="c1", name="area", arguments_json="{")],
            ),
            noun.ChatMessage(role=noun.CHAT_ROLE_TOOL, content="4", tool_call_id="c1"),
        ],
        tools=[
            noun.Tool(
                name="area", description="Of a square.", parameters_schema='{"type":"object"}'
            )
        ],
        tool_choice=noun.ToolChoice(name="area"),
        form=noun.AnswerForm(
            json_schema=noun.JsonSchema(name="answer", schema='{"type":"object"}', strict=True)
        ),
        sampling=noun.Sampling(temperature=0, seed=-3, stop=["end"], tokens_max=9),
        namespace="mine",
    )


@pytest.mark.parametrize("order", [1, -1])
def test_the_newer_name_of_a_limit_counts_whichever_comes_first(order: int) -> None:
    """Some clients send both."""
    both = [("max_tokens", 7), ("max_completion_tokens", 9)][::order]
    assert _request(**dict(both)).sampling.tokens_max == 9


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": [7]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{**ASKED, "mood": "x"}]}, "messages[0].mood", "unknown_parameter"),
        ({"messages": [{**ASKED, "content": "\ud800"}]}, "messages", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"temperature": 10**400}, "temperature", "invalid_value"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"max_tokens": 2**31}, "max_tokens", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"stop": [1]}, "stop[0]", "invalid_type"),
        ({"tool_choice": "perhaps"}, "tool_choice", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    """By its place and by what is wrong with it."""
    refused = _refused(**fields)
    assert (refused.answer.status, refused.answer.param, refused.answer.code) == (400, param, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"store": True}, "store"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ],
)
def test_what_is_not_here_is_no_mistake_of_the_caller(fields: dict[str, Any], param: str) -> None:
    """It is told apart, and clients do not try again."""
    refused = _refused(**fields)
    assert (refused.answer.status, refused.answer.param) == (501, param)
    assert refused.answer.headers == {"x-should-retry": "false"}


def test_an_answer_is_that_of_openai_and_says_who_gave_it() -> None:
    """Tool calls, citations where the text marks them, and the backend."""
    source = noun.QuotedSource(number=2, name="p/7", uri="a.md", headings=["A", "B"], quote="q")
    call = noun.ToolCall(id="c1", name="f", arguments_json='{"x":"é\n"}')
    response = pb.ChatResponse(
        message=noun.ChatMessage(content='Far "[2]" [3].', tool_calls=[call]),
        finish_reason=noun.FINISH_REASON_TOOL_CALLS,
        usage=noun.Usage(prompt_tokens=3, completion_tokens=4, is_estimated=True),
        answerer=noun.Answerer(backend="b", model="m", is_fallback=True, fallback_cause="away"),
        sources=[source],
        response_id="chat-1",
    )
    response.created.FromSeconds(1700000000)
    cited = {"start_index": 5, "end_index": 8, "url": "a.md", "title": "A / B"}
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":"é\n"}'}}
    assert json.loads(chat.answer_json(response)) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "b/m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": 'Far "[2]" [3].',
                    "refusal": None,
                    "tool_calls": [called],
                    "annotations": [{"type": "url_citation", "url_citation": cited}],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "is_estimated": True,
        },
        "answerer": {
            "backend": "b",
            "model": "m",
            "is_generative": False,
            "is_fallback": True,
            "fallback_cause": "away",
        },
        "sources": [
            {"number": 2, "name": "p/7", "uri": "a.md", "headings": ["A", "B"], "quote": "q"}
        ],
    }


@pytest.mark.parametrize("tells_usage", [True, False])
def test_a_stream_is_told_event_by_event(*, tells_usage: bool) -> None:
    """Role first, then words, citations, the reason of its end, and what it cost where asked."""
    first = pb.StreamChatResponse(
        text="See ", response_id="chat-1", answerer=noun.Answerer(backend="quotes", model="")
    )
    last = pb.StreamChatResponse(
        text="[1].",
        finish_reason=noun.FINISH_REASON_STOP,
        usage=noun.Usage(prompt_tokens=1, completion_tokens=2),
        sources=[noun.QuotedSource(number=1, uri="a.md")],
    )
    chunks = chat.Chunks(chat.Begun.of(first), tells_usage=tells_usage)
    told = _events(chunks.begin() + chunks.of(first) + chunks.of(last))
    deltas = [one["choices"][0]["delta"] for one in told if one["choices"]]
    assert "".join(one.get("content") or "" for one in deltas) == "See [1]."
    assert deltas[0]["role"] == "assistant"
    (noted,) = [one["annotations"][0]["url_citation"] for one in deltas if "annotations" in one]
    assert (noted["start_index"], noted["end_index"]) == (4, 7)
    ended = [one["choices"][0]["finish_reason"] for one in told if one["choices"]]
    assert ended == [None] * (len(ended) - 1) + ["stop"]
    assert {one["id"] for one in told} == {"chatcmpl-1"}
    assert told[0]["answerer"]["backend"] == "quotes"
    assert [one.get("usage", "none") for one in told[:-1]] == [
        None if tells_usage else "none" for _ in told[:-1]
    ]
    cost = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert told[-1].get("usage") == (cost if tells_usage else None)


def test_tool_calls_of_a_stream_are_told_apart_by_their_number() -> None:
    """Several at once; name and id stand in the first event of each."""
    first = pb.StreamChatResponse(
        answerer=noun.Answerer(backend="b", is_generative=True),
        tool_calls=[
            noun.ToolCallDelta(index=0, id="c0", name="f"),
            noun.ToolCallDelta(index=1, id="c1", name="g", arguments_json="{"),
        ],
    )
    more = pb.StreamChatResponse(tool_calls=[noun.ToolCallDelta(index=1, arguments_json="}")])
    chunks = chat.Chunks(chat.Begun.of(first), tells_usage=False)
    told = _events(chunks.of(first) + chunks.of(more))
    assert [one["choices"][0]["delta"]["tool_calls"] for one in told] == [
        [
            {
                "index": 0,
                "id": "c0",
                "type": "function",
                "function": {"name": "f", "arguments": ""},
            },
            {
                "index": 1,
                "id": "c1",
                "type": "function",
                "function": {"name": "g", "arguments": "{"},
            },
        ],
        [{"index": 1, "function": {"arguments": "}"}}],
    ]
