"""A method of an agent as operations of an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from services.gateway.http.directory import Service
from services.gateway.http.openapi import problems
from services.gateway.http.openapi.problems import Reasons, Schema
from tandem.options.v1 import options_pb2 as options
from tandemkit.rpc.contract import Method
from tandemkit.written.contract_comments import Comments
from tandemkit.written.json_schema.forms import Form, without_null
from tandemkit.written.json_schema.messages import Schemas
from tandemkit.written.json_schema.values import well_known

JSON, EVENTS, LINES = "application/json", "text/event-stream", "application/x-ndjson"
_EVENTS_SAID: Final = (
    "Server-sent events, each by this schema: its `id`, where there is one, resumes the stream as"
    " `Last-Event-ID`. The last one is `end`, or `error` with a problem. With the media type of"
    " lines in `Accept`: one message a line."
)
_LINES_SAID: Final = "One message a line, as JSON."


class Operations:
    """Writes them with what they share: schemas of requests and answers, comments, reasons."""

    def __init__(
        self, asked: Schemas, answered: Schemas, comments: Comments, reasons: Reasons
    ) -> None:
        self._asked, self._answered = asked, answered
        self._comments, self._reasons = comments, reasons

    def of(self, service: Service, method: Method, verb: str) -> Schema:
        """The method asked with this verb."""
        own = service.descriptor.methods_by_name[method.name]
        comment = self._comments.of(own.full_name)
        suffix = "" if verb == "post" else f"_{verb}"
        operation: Schema = {
            "operationId": f"{service.short}_{method.name}{suffix}".replace("-", "_"),
            "tags": [service.short],
            "summary": _summary(comment) or method.name,
        }
        if comment:
            operation["description"] = comment
        if verb == "post":
            operation["parameters"] = list(_HEADERS)
            operation["requestBody"] = self._body(own, method)
        else:
            operation["parameters"] = [*self._query(own.input_type), *_HEADERS]
        if method.public:
            operation["security"] = []
        operation["responses"] = {"200": self._answer(own, method), **problems.of_any_call()}
        return operation | self._facts(own, method, comment)

    def _body(self, own: MethodDescriptor, method: Method) -> Schema:
        schema = self._asked.of(own.input_type)
        if not method.client_streaming:
            # No body is the request without a field.
            return {"required": False, "content": {JSON: {"schema": schema}}}
        content = {LINES: {"schema": {}, "x-tandem-line": schema}}
        return {"description": _LINES_SAID, "required": False, "content": content}

    def _query(self, kind: Descriptor, above: tuple[Descriptor, ...] = ()) -> Iterator[Schema]:
        """The fields that fit behind a `?`; one of a message within is named by its path."""
        whole = self._asked.whole(kind)
        needed = set(whole.get("required", ()))
        for field in kind.fields:
            name = field.json_name
            if not is_object(field):
                schema = without_null(whole["properties"][name])
                must = name in needed and not above
                yield {"name": name, "in": "query", "required": must, "schema": schema}
            elif not field.is_repeated and field.message_type not in (*above, kind):
                for one in self._query(field.message_type, (*above, kind)):
                    yield one | {"name": f"{name}.{one['name']}"}

    def _answer(self, own: MethodDescriptor, method: Method) -> Schema:
        schema = self._answered.of(own.output_type)
        if not method.server_streaming:
            return {"description": "The answer.", "content": {JSON: {"schema": schema}}}
        content = {
            EVENTS: {"schema": _event(schema)},
            LINES: {"schema": {}, "x-tandem-line": schema},
        }
        return {"description": _EVENTS_SAID, "content": content}

    def _facts(self, own: MethodDescriptor, method: Method, comment: str) -> Schema:
        said: Any = own.GetOptions()
        facts: Schema = {
            "x-tandem-method": method.path,
            "x-tandem-effect": "reads" if method.reads else "changes",
            "x-tandem-repeatable": method.retryable,
            "x-tandem-priority": method.priority.name.lower(),
        }
        if method.deadline_s is not None:
            facts["x-tandem-deadline"] = f"{method.deadline_s:g}s"
        if method.concurrent_calls_max:
            facts["x-tandem-concurrent-calls-max"] = method.concurrent_calls_max
        if method.asks_caller:
            facts["x-tandem-asks-caller"] = True
        if said.Extensions[options.tool]:
            facts["x-tandem-tool"] = True
        if named := self._reasons.named(comment, own.containing_service.file.package):
            facts["x-tandem-reasons"] = [one.value for one in named]
        return facts


def _event(message: Schema) -> Schema:
    """One of a stream, as the standard of server-sent events names its parts."""
    data = {"type": "string", "contentMediaType": JSON, "contentSchema": message}
    parts = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    return {"type": "object", "required": ["data"], "properties": parts}


def is_object(field: FieldDescriptor) -> bool:
    """Whether its JSON, or that of its items, is more than one value."""
    if field.message_type is None:
        return False
    own = well_known(field.message_type.full_name, Form.PREFERRED)
    return own is None or own.get("type") in {None, "object", "array"}


def _summary(comment: str) -> str:
    first, end, _ = comment.partition(". ")
    return f"{first}." if end else first


_HEADERS: Final = tuple(
    {"$ref": f"#/components/parameters/{name}"} for name in ("Timeout", "Priority", "Traceparent")
)


def parameters() -> Schema:
    """Headers that any call may have."""
    return {
        "Timeout": {
            "name": "x-tandem-timeout",
            "in": "header",
            "description": "How long the caller waits, at most the method's own deadline.",
            "schema": {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m)?$"},
            "example": "2.5s",
        },
        "Priority": {
            "name": "x-tandem-priority",
            "in": "header",
            "description": "Who has to wait where there is too much to do.",
            "schema": {"enum": ["interactive", "standard", "batch"]},
        },
        "Traceparent": {
            "name": "traceparent",
            "in": "header",
            "description": "The trace that the call belongs to (W3C Trace Context).",
            # One that is not of its form is no trace: so says W3C.
            "schema": {"type": "string"},
        },
    }
