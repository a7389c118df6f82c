"""Tools at an Ollama. It offers them to a model, and cannot make it call one: where a call is
demanded, the model is held by a grammar to the JSON of a call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tandem.models.v1 import chat_pb2 as chat
from tandemkit.ml.generation.protocol import Conversation, ConversationRefused
from tandemkit.ml.generation.schemas import schema_of

_ID_CHARS: Final = 16
_ORDER: Final = (
    "Call one of these tools. Answer with JSON alone: the name of the tool, and its arguments."
)


def offered(asked: Conversation) -> dict[str, Any]:
    """Tools that the model may call, of a request's body."""
    if not asked.tools or asked.tool_choice.use == chat.TOOL_USE_NONE:
        return {}
    return {"tools": [{"type": "function", "function": one} for one in _functions(asked)]}


def demanded(asked: Conversation) -> list[dict[str, Any]]:
    """Tools one of which it has to call; none where that is not asked."""
    name, use = asked.tool_choice.name, asked.tool_choice.use
    if not name and use != chat.TOOL_USE_REQUIRED:
        return []
    found = [one for one in _functions(asked) if name in {"", one["name"]}]
    if not found:
        message = "a tool has to be called, and there is none of that name"
        raise ConversationRefused(message, field="tool_choice", name=name)
    return found


def order(tools: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the model is told of them: as a message, for not every model knows of tools."""
    listed = "\n".join(json.dumps(one, ensure_ascii=False) for one in tools)
    return {"role": "system", "content": f"{_ORDER}\n{listed}"}


def form(tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON of a call of one of them."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": one["name"]}, "arguments": one["parameters"]},
            "required": ["name", "arguments"],
        }
        for one in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def call_of(text: str, asked: int) -> list[chat.ToolCallDelta]:
    """The call that the JSON is; none where it was cut short."""
    try:
        said = json.loads(text)
        return calls_of([{"function": said}], 0, asked)
    except (LookupError, TypeError, ValueError):
        return []


def calls_of(said: Sequence[Mapping[str, Any]], first: int, asked: int) -> list[chat.ToolCallDelta]:
    """Each whole, numbered from `first` on. Ollama's ids are dice: ours are the same again for the
    same call in the same place of a conversation, behind `asked` messages.
    """
    found = []
    for index, call in enumerate(said, first):
        name, arguments = call["function"]["name"], call["function"].get("arguments") or {}
        text = json.dumps(arguments, ensure_ascii=False)
        digest = hashlib.sha256(f"{asked} {index} {name} {text}".encode()).hexdigest()
        identity = f"call-{digest[:_ID_CHARS]}"
        found.append(chat.ToolCallDelta(index=index, id=identity, name=name, arguments_json=text))
    return found


def _functions(asked: Conversation) -> list[dict[str, Any]]:
    found = []
    for at, tool in enumerate(asked.tools):
        parameters: dict[str, Any] = {"type": "object", "properties": {}}
        if tool.parameters_schema:
            parameters = schema_of(tool.parameters_schema, f"tools[{at}].parameters_schema")
        found.append({"name": tool.name, "description": tool.description, "parameters": parameters})
    return found
