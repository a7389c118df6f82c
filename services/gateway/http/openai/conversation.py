"""Messages, tools and forms of an answer, as OpenAI's chat says them, as nouns of
tandem.models.v1.
"""

from __future__ import annotations

from typing import Any

from services.gateway.http.openai.errors import absent, invalid
from services.gateway.http.openai.fields import Setter, choice, flag, items, mapping, text
from services.gateway.http.openai.json_text import encoded
from tandem.models.v1 import chat_pb2 as chat

_ROLES = {
    "system": chat.CHAT_ROLE_SYSTEM,
    # The later name of the same.
    "developer": chat.CHAT_ROLE_SYSTEM,
    "user": chat.CHAT_ROLE_USER,
    "assistant": chat.CHAT_ROLE_ASSISTANT,
    "tool": chat.CHAT_ROLE_TOOL,
}
_USES = {
    "none": chat.TOOL_USE_NONE,
    "auto": chat.TOOL_USE_AUTO,
    "required": chat.TOOL_USE_REQUIRED,
}
# Parts of a message that are no text.
_OTHER_PARTS = ("image_url", "input_audio", "file")
_MESSAGE_FIELDS = {
    *("role", "content", "name", "tool_calls", "tool_call_id", "refusal"),
    # What an answer of ours said, sent back as it was.
    *("annotations", "audio", "function_call"),
}


def set_messages(request: Any, value: object) -> None:
    add, at = request.messages.add, 0
    for one in items(value, "messages"):
        _set_message(add(), mapping(one, f"messages[{at}]"), f"messages[{at}]")
        at += 1
    if not at:
        raise invalid("'messages' is empty: there is nothing to answer", "messages", "empty_array")


def _set_message(message: chat.ChatMessage, said: dict[str, Any], path: str) -> None:
    role = said.get("role")
    if role == "function":
        raise absent("messages of the role 'function' are not here: use 'tool'", f"{path}.role")
    message.role = choice(role, _ROLES, f"{path}.role")
    content = said.get("content")
    if isinstance(content, str):
        message.content = content
    elif content is not None:
        message.content = _text_of(content, f"{path}.content")
    if len(said) > 2:
        _set_rest(message, said, path)


def _set_rest(message: chat.ChatMessage, said: dict[str, Any], path: str) -> None:
    """What few messages have."""
    if unknown := said.keys() - _MESSAGE_FIELDS:
        name = min(unknown)
        raise invalid(f"a message has no field '{name}'", f"{path}.{name}", "unknown_parameter")
    if said.get("function_call") is not None:
        raise absent("'function_call' is not here: use 'tool_calls'", f"{path}.function_call")
    if said.get("audio") is not None:
        raise absent("audio is not here: models are sent text alone", f"{path}.audio")
    if (speaker := said.get("name")) is not None:
        message.name = text(speaker, f"{path}.name")
    if (answers := said.get("tool_call_id")) is not None:
        message.tool_call_id = text(answers, f"{path}.tool_call_id")
    if (refusal := said.get("refusal")) is not None and not message.content:
        message.content = text(refusal, f"{path}.refusal")
    if (calls := said.get("tool_calls")) is not None:
        for at, one in enumerate(items(calls, f"{path}.tool_calls")):
            _set_call(message.tool_calls.add(), one, f"{path}.tool_calls[{at}]")


def _text_of(content: object, path: str) -> str:
    """Of a content in parts."""
    if not isinstance(content, list):
        raise invalid(f"'{path}' has to be a string or an array of parts", path, "invalid_type")
    return "\n".join(
        _part(mapping(one, f"{path}[{at}]"), f"{path}[{at}]") for at, one in enumerate(content)
    )


def _part(part: dict[str, Any], path: str) -> str:
    kind = part.get("type")
    if kind in {"text", "refusal"}:
        return text(part.get(kind), f"{path}.{kind}")
    if kind in _OTHER_PARTS:
        raise absent(f"parts of type '{kind}' are not here: models are sent text alone", path)
    raise invalid(f"'{path}.type' has to be 'text'", f"{path}.type")


def _set_call(call: chat.ToolCall, value: object, path: str) -> None:
    said = mapping(value, path)
    function = _function(said, path)
    call.id = text(said.get("id"), f"{path}.id")
    call.name = text(function.get("name"), f"{path}.function.name")
    call.arguments_json = text(function.get("arguments"), f"{path}.function.arguments")


def _function(said: dict[str, Any], path: str) -> dict[str, Any]:
    """Tools are functions: other kinds are somebody else's own."""
    kind = text(said.get("type"), f"{path}.type")
    if kind != "function":
        raise absent(f"tools of type '{kind}' are not here: 'function' is", f"{path}.type")
    return mapping(said.get("function"), f"{path}.function")


def set_tools(request: Any, value: object) -> None:
    for at, one in enumerate(items(value, "tools")):
        path = f"tools[{at}]"
        function = _function(mapping(one, path), path)
        tool = request.tools.add(name=text(function.get("name"), f"{path}.function.name"))
        if (description := function.get("description")) is not None:
            tool.description = text(description, f"{path}.function.description")
        if (parameters := function.get("parameters")) is not None:
            where = f"{path}.function.parameters"
            tool.parameters_schema = encoded(mapping(parameters, where))
        if (strict := function.get("strict")) is not None:
            tool.strict = flag(strict, f"{path}.function.strict")


def set_tool_choice(request: Any, value: object) -> None:
    path = "tool_choice"
    if isinstance(value, dict):
        function = _function(value, path)
        request.tool_choice.name = text(function.get("name"), f"{path}.function.name")
    else:
        request.tool_choice.use = choice(value, _USES, path)


def set_parallel(request: Any, value: object) -> None:
    if not flag(value, "parallel_tool_calls"):
        request.tool_choice.one_at_a_time = True


def set_form(request: Any, value: object) -> None:
    path = "response_format"
    said = mapping(value, path)
    match said.get("type"):
        case "text":
            return
        case "json_object":
            request.form.json_object.SetInParent()
        case "json_schema":
            _set_schema(request.form.json_schema, said.get("json_schema"), f"{path}.json_schema")
        case _:
            wanted = "'text', 'json_object' or 'json_schema'"
            raise invalid(f"'{path}.type' has to be {wanted}", f"{path}.type")


def _set_schema(form: chat.JsonSchema, value: object, path: str) -> None:
    said = mapping(value, path)
    form.name = text(said.get("name"), f"{path}.name")
    # None is given: any object is of that form.
    form.schema = encoded(mapping(said.get("schema", {}), f"{path}.schema"))
    if (strict := said.get("strict")) is not None:
        form.strict = flag(strict, f"{path}.strict")
    if (description := said.get("description")) is not None:
        form.description = text(description, f"{path}.description")


SETTERS: dict[str, Setter] = {
    "messages": set_messages,
    "tools": set_tools,
    "tool_choice": set_tool_choice,
    "parallel_tool_calls": set_parallel,
    "response_format": set_form,
}
