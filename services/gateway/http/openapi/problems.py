"""How calls fail over HTTP, as the document says it: what a problem is, and which reasons a family
has for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor_pb2 import EnumValueOptions, FileDescriptorSet
from google.rpc import code_pb2

from services.gateway.http.denied import status_of
from services.gateway.http.face import PROBLEM
from tandem.options.v1 import options_pb2 as options
from tandemkit.written.contract_comments import Comments

Schema = dict[str, Any]
# A comment names them so: `INVALID_ARGUMENT/TOO_LARGE`.
_NAMED: Final = re.compile(r"\b[A-Z_]+/([A-Z][A-Z0-9_]*)")
_ENUMS: Final = {"ErrorReason": "ERROR_REASON_", "PlatformErrorReason": "PLATFORM_ERROR_REASON_"}
_PLATFORM: Final = "tandem.type.v1"
_GATEWAY: Final = "tandem.gateway.v1"
# What any call may come to: by the gateway, the platform or the agent.
ANY_STATUS: Final = (400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 429, 431, 499)
ANY_FAILURE: Final = (500, 501, 503, 504)
_STATUS_SAID: Final = {
    400: "The request is not what the method takes, or the state of things does not allow it.",
    401: "No token, or a wrong one.",
    403: "The caller may not.",
    404: "There is no such thing, agent or method.",
    405: "Not with this HTTP method.",
    408: "The body did not come in time.",
    409: "It is there already, or somebody else was faster.",
    413: "The body is larger than the gateway reads.",
    415: "The body is of another media type.",
    421: "The header `Host` is no name of this gateway.",
    429: "Too much at once. `Retry-After` says when to come again.",
    431: "The head of the request is too large.",
    499: "The call was cancelled.",
    500: "A defect. `metadata.incident` is the id under which the log has the cause.",
    501: "The agent does not do this, as it is set up.",
    503: "The agent, or what it needs, does not answer. `Retry-After` says when to come again.",
    504: "The deadline passed.",
}


@dataclass(frozen=True)
class Reason:
    """Why an agent of a family, or the platform, ends a call."""

    name: str
    domain: str
    status: int
    code: str
    said: str

    @property
    def value(self) -> Schema:
        return {"reason": self.name, "code": self.code, "status": self.status, "about": self.said}


class Reasons:
    """Of all families that this code knows, by their packages."""

    def __init__(self, image: FileDescriptorSet, comments: Comments) -> None:
        self._of: dict[str, dict[str, Reason]] = {}
        for file in image.file:
            for enum in file.enum_type:
                if (prefix := _ENUMS.get(enum.name)) is not None:
                    known = self._of.setdefault(file.package, {})
                    for one in enum.value[1:]:
                        full_name = f"{file.package}.{enum.name}.{one.name}"
                        name = one.name.removeprefix(prefix)
                        known[name] = _reason(name, file.package, one, comments.of(full_name))

    def named(self, comment: str, package: str) -> list[Reason]:
        """Those that a method's comment names."""
        known = self._of.get(package, {})
        names = dict.fromkeys(_NAMED.findall(comment))
        return [known[name] for name in names if name in known]

    def common(self) -> Iterable[Reason]:
        """Those of any call."""
        for package in (_GATEWAY, _PLATFORM):
            yield from self._of.get(package, {}).values()


def _reason(name: str, package: str, value: Any, said: str) -> Reason:
    wire = value.options.SerializeToString()
    code = EnumValueOptions.FromString(wire).Extensions[options.code]
    code_name = code_pb2.Code.Name(code)
    return Reason(name, package, status_of(code_name), code_name, said)


def problem_schema() -> Schema:
    """As `face.problem` writes it."""
    text: Schema = {"type": "string"}
    return {
        "description": "Why there is no answer (RFC 9457), for programs by `reason` and `domain`.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "reason", "domain"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"description": "The reason as a sentence, for people.", "type": "string"},
            "code": {"description": "The name of gRPC's code.", "enum": _CODES},
            "reason": {
                "description": "A value of its family's `ErrorReason`. More may come.",
                "type": "string",
                "pattern": "^([A-Z][A-Z0-9_]*)?$",
            },
            "domain": {"description": "The package of that enum.", "type": "string"},
            "metadata": {
                "description": "What the sentence mentions.",
                "type": "object",
                "additionalProperties": text,
            },
            "violations": {
                "description": "The fields at fault.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "description"],
                    "properties": {"field": text, "description": text},
                },
            },
            "retryAfter": {
                "description": "When to come again.",
                "type": "string",
                "pattern": r"^[0-9]+(\.[0-9]{1,3})?s$",
            },
        },
    }


_CODES: Final = [one.name for one in code_pb2.Code.DESCRIPTOR.values if one.number]


def responses() -> Mapping[str, Schema]:
    """By the names under which operations refer to them."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        f"Problem{status}": {"description": _STATUS_SAID[status], "content": content}
        for status in (*ANY_STATUS, *ANY_FAILURE)
    }


def of_any_call() -> Schema:
    """References to all of them, by status."""
    return {
        str(status): {"$ref": f"#/components/responses/Problem{status}"}
        for status in (*ANY_STATUS, *ANY_FAILURE)
    }
