"""Our messages in the words of OpenAI's HTTP API, and its answers in ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tandem.models.v1 import chat_pb2 as chat
from tandemkit.core.secret import variable_of
from tandemkit.ml.generation.protocol import (
    Conversation,
    ConversationRefused,
    ModelCard,
    Prompt,
)
from tandemkit.ml.generation.schemas import schema_of

KEY_MISSING: Final = "Missing required API key"
_ROLES: Final = {
    chat.CHAT_ROLE_SYSTEM: "system",
    chat.CHAT_ROLE_USER: "user",
    chat.CHAT_ROLE_ASSISTANT: "assistant",
    chat.CHAT_ROLE_TOOL: "tool",
}
_USES: Final = {
    chat.TOOL_USE_AUTO: "auto",
    chat.TOOL_USE_NONE: "none",
    chat.TOOL_USE_REQUIRED: "required",
}
_REASONS: Final[Mapping[object, chat.FinishReason.ValueType]] = {
    "length": chat.FINISH_REASON_LENGTH,
    "tool_calls": chat.FINISH_REASON_TOOL_CALLS,
    "function_call": chat.FINISH_REASON_TOOL_CALLS,
    "content_filter": chat.FINISH_REASON_CONTENT_FILTER,
}
# What servers say of it; few have a code for it.
_TOO_LONG: Final = re.compile(
    r"context[ _](length|size|window)|maximum context|too many tokens", re.IGNORECASE
)
_CONTEXT_FIELDS: Final = ("max_model_len", "context_length", "context_window")
_TOKENS_MAX: Final = 2**31 - 1


def key_hint(secret: str) -> str:
    """How whoever runs the fleet gives it a value."""
    return f"./tandem secret check says where it is looked for; {variable_of(secret)} is one place"


def conversation(model: str, asked: Conversation) -> dict[str, Any]:
    """Body of `POST /chat/completions`. Raises SchemaRefused, ConversationRefused."""
    body: dict[str, Any] = {"model": model, "messages": [_message(one) for one in asked.messages]}
    if asked.tools:
        body["tools"] = [_tool(one, at) for at, one in enumerate(asked.tools)]
    if asked.HasField("tool_choice"):
        if asked.tool_choice.WhichOneof("choice"):
            body["tool_choice"] = _tool_choice(asked.tool_choice)
        if asked.tool_choice.one_at_a_time and asked.tools:
            body["parallel_tool_calls"] = False
    if asked.HasField("form"):
        body["response_format"] = _response_format(asked.form)
    if asked.HasField("sampling"):
        body |= sampling(asked.sampling)
    return body


def prompt(model: str, asked: Prompt) -> dict[str, Any]:
    """Body of `POST /completions`."""
    body: dict[str, Any] = {"model": model, "prompt": asked.prompt}
    return body | sampling(asked.sampling) if asked.HasField("sampling") else body


def sampling(said: chat.Sampling) -> dict[str, Any]:
    """Only what is said."""
    found = {field.name: value for field, value in said.ListFields()}
    if stop := found.get("stop"):
        found["stop"] = list(stop)
    if tokens_max := found.pop("tokens_max", 0):
        found["max_tokens"] = tokens_max
    return found


def message(said: Mapping[str, Any]) -> chat.ChatMessage:
    """Raises as whoever reads what is not there does."""
    calls = [
        chat.ToolCall(
            id=one.get("id") or "",
            name=one["function"]["name"],
            arguments_json=one["function"].get("arguments") or "",
        )
        for one in said.get("tool_calls") or ()
    ]
    return chat.ChatMessage(
        role=chat.CHAT_ROLE_ASSISTANT, content=said.get("content") or "", tool_calls=calls
    )


def tool_call_deltas(said: Sequence[Mapping[str, Any]] | None) -> list[chat.ToolCallDelta]:
    """Raises as `message` does."""
    if not said:
        return []
    return [
        chat.ToolCallDelta(
            index=one.get("index") or 0,
            id=one.get("id") or "",
            name=one["function"].get("name") or "",
            arguments_json=one["function"].get("arguments") or "",
        )
        for one in said
    ]


def finish_reason(said: object) -> chat.FinishReason.ValueType:
    return _REASONS.get(said, chat.FINISH_REASON_STOP)


def usage(said: Mapping[str, Any] | None) -> chat.Usage | None:
    if not said:
        return None
    return chat.Usage(
        prompt_tokens=said.get("prompt_tokens") or 0,
        completion_tokens=said.get("completion_tokens") or 0,
    )


def cards(listed: Mapping[str, Any]) -> list[ModelCard]:
    """Of `GET /models`. A server says how long a context may be where it likes, or not at all."""
    return [ModelCard(str(one["id"]), _context(one)) for one in listed["data"]]


def is_too_long(said: str) -> bool:
    return _TOO_LONG.search(said) is not None


def _context(card: Mapping[str, Any]) -> int:
    for name in _CONTEXT_FIELDS:
        found = card.get(name)
        if isinstance(found, int) and 0 < found <= _TOKENS_MAX:
            return found
    return 0


def _message(said: chat.ChatMessage) -> dict[str, Any]:
    if said.role == chat.CHAT_ROLE_TOOL and not said.tool_call_id:
        raise ConversationRefused("a tool's message names the call that it answers")
    found: dict[str, Any] = {"role": _ROLES[said.role], "content": said.content}
    if said.name:
        found["name"] = said.name
    if said.tool_call_id:
        found["tool_call_id"] = said.tool_call_id
    if said.tool_calls:
        found["tool_calls"] = [_tool_call(one) for one in said.tool_calls]
        found["content"] = said.content or None
    return found


def _tool_call(said: chat.ToolCall) -> dict[str, Any]:
    function = {"name": said.name, "arguments": said.arguments_json}
    return {"id": said.id, "type": "function", "function": function}


def _tool(said: chat.Tool, at: int) -> dict[str, Any]:
    function: dict[str, Any] = {"name": said.name}
    if said.description:
        function["description"] = said.description
    if said.parameters_schema:
        where = f"tools[{at}].parameters_schema"
        function["parameters"] = schema_of(said.parameters_schema, where)
    if said.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(said: chat.ToolChoice) -> object:
    if said.name:
        return {"type": "function", "function": {"name": said.name}}
    return _USES.get(said.use, "auto")


def _response_format(said: chat.AnswerForm) -> dict[str, Any]:
    if not said.HasField("json_schema"):
        return {"type": "json_object"}
    wanted = said.json_schema
    described: dict[str, Any] = {"name": wanted.name or "answer", "strict": wanted.strict}
    if wanted.description:
        described["description"] = wanted.description
    described["schema"] = schema_of(wanted.schema, "form.json_schema.schema")
    return {"type": "json_schema", "json_schema": described}
