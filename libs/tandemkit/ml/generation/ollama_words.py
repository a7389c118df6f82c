"""Conversations in the words of Ollama's HTTP API, and its figures in ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tandem.models.v1 import chat_pb2 as chat
from tandemkit.core.json_value import parsed
from tandemkit.ml.generation.protocol import Conversation, ConversationRefused
from tandemkit.ml.generation.schemas import schema_of

_ROLES: Final = {
    chat.CHAT_ROLE_SYSTEM: "system",
    chat.CHAT_ROLE_USER: "user",
    chat.CHAT_ROLE_ASSISTANT: "assistant",
    chat.CHAT_ROLE_TOOL: "tool",
}
_OPTIONS: Final = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")


def messages_of(asked: Conversation) -> list[dict[str, Any]]:
    """Raises ConversationRefused for what cannot be said."""
    # Ollama wants the name of the tool that answers.
    names = {call.id: call.name for one in asked.messages for call in one.tool_calls}
    found: list[dict[str, Any]] = []
    for at, message in enumerate(asked.messages):
        said: dict[str, Any] = {"role": _ROLES[message.role], "content": message.content}
        if message.tool_calls:
            said["tool_calls"] = [
                {"id": call.id, "function": {"name": call.name, "arguments": _arguments(call, at)}}
                for call in message.tool_calls
            ]
        if message.role == chat.CHAT_ROLE_TOOL:
            if message.tool_call_id not in names:
                raise ConversationRefused(
                    "a tool answers a call that nobody made",
                    field=f"messages[{at}].tool_call_id",
                    tool_call_id=message.tool_call_id,
                )
            said |= {"tool_name": names[message.tool_call_id], "tool_call_id": message.tool_call_id}
        found.append(said)
    return found


def options_of(sampling: chat.Sampling) -> dict[str, Any]:
    """Only what is said: a model has values of its own for the rest."""
    found = {name: getattr(sampling, name) for name in _OPTIONS if sampling.HasField(name)}
    if sampling.tokens_max:
        found["num_predict"] = sampling.tokens_max
    return {**found, "stop": list(sampling.stop)} if sampling.stop else found


def form_of(asked: Conversation) -> dict[str, Any]:
    """Raises SchemaRefused for what is no schema."""
    match asked.form.WhichOneof("form"):
        case "json_object":
            return {"format": "json"}
        case "json_schema":
            return {"format": schema_of(asked.form.json_schema.schema, "form.json_schema.schema")}
        case _:
            return {}


def usage_of(line: Mapping[str, Any]) -> chat.Usage:
    """What a prompt cost is not said where all of it was known from the request before."""
    return chat.Usage(
        prompt_tokens=int(line.get("prompt_eval_count", 0)),
        completion_tokens=int(line.get("eval_count", 0)),
        is_estimated="prompt_eval_count" not in line,
    )


def _arguments(call: chat.ToolCall, at: int) -> object:
    try:
        found = parsed(call.arguments_json or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConversationRefused(
            "the arguments of a tool call are no JSON object, and Ollama takes no other",
            field=f"messages[{at}].tool_calls",
            call=call.id,
        )
    return found
