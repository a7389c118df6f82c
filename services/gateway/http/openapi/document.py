"""The REST face as an OpenAPI 3.1 document, made of nothing but contracts and their comments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from services.gateway.http import rest
from services.gateway.http.directory import Service
from services.gateway.http.openapi import operations, problems
from services.gateway.http.openapi.operations import Operations
from services.gateway.http.openapi.problems import Reasons, Schema
from tandemkit.written.contract_comments import Comments
from tandemkit.written.json_schema.forms import DIALECT, Form
from tandemkit.written.json_schema.messages import Schemas

_AT: Final = "#/components/schemas/"
_ABOUT: Final = (
    "Every method of every agent of this fleet as HTTP and JSON. `POST /api/AGENT/METHOD` takes"
    " the request and gives the answer as JSON; what comes as a stream comes as server-sent"
    " events. An agent is named as its tag here says, by its contract's full name, or by an alias."
    " Deadlines, priorities, keys and traces are those of gRPC, and so are the reasons of"
    " failures, as problems (RFC 9457)."
)


class Writer:
    """Writes documents of what the fleet has, with what the contracts of this code say."""

    def __init__(self, image: FileDescriptorSet) -> None:
        self._comments = Comments(image)
        self._reasons = Reasons(image, self._comments)

    def document(self, services: Sequence[Service], form: Form) -> Schema:
        """The same for the same contracts, to the byte. `form` is that of requests."""
        answered = Schemas(self._comments, Form.WRITTEN, _AT)
        for service in services:
            for method in service.descriptor.methods:
                answered.of(method.output_type)
        taken = frozenset(answered.definitions)
        asked = Schemas(self._comments, form, _AT, lambda name: _as_asked(name, taken))
        paths = self._paths(services, Operations(asked, answered, self._comments, self._reasons))
        schemas = {
            **answered.definitions,
            **asked.definitions,
            "Problem": problems.problem_schema(),
        }
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Tandem",
                "summary": "The agents of a fleet over HTTP.",
                "description": _ABOUT,
                "version": _version(services),
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "jsonSchemaDialect": DIALECT,
            "servers": [{"url": "/"}],
            "security": [{"token": []}, {"key": []}],
            "tags": [self._tag(one) for one in services],
            "x-tandem-reasons": [one.value for one in self._reasons.common()],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(schemas.items())),
                "responses": problems.responses(),
                "parameters": operations.parameters(),
                "securitySchemes": _SCHEMES,
            },
        }

    def _paths(self, services: Iterable[Service], write: Operations) -> Schema:
        paths: dict[str, Any] = {}
        for service in services:
            for method in service.methods.values():
                for way in rest.asked(service, method):
                    verb, _, path = way.partition(" ")
                    if not path.startswith(rest.PATH):
                        continue
                    operation = write.of(service, method, verb.lower())
                    paths.setdefault(path, {})[verb.lower()] = operation
        return paths

    def _tag(self, service: Service) -> Schema:
        tag: Schema = {"name": service.short}
        if comment := self._comments.of(service.name):
            tag["description"] = comment
        family = service.short.partition("-")[0]
        facts: Schema = {"x-tandem-contract": service.name, "x-tandem-family": family}
        return (
            tag | facts | ({"x-tandem-aliases": list(service.aliases)} if service.aliases else {})
        )


_SCHEMES: Final[Schema] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The fleet's token (`./tandem token`), or a caller's key.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same, as clients of others send it.",
    },
}


def _as_asked(full_name: str, taken: frozenset[str]) -> str:
    """What is asked keeps to rules that an answer of the same type does not."""
    return f"{full_name}-Input" if full_name in taken else full_name


def _version(services: Iterable[Service]) -> str:
    """Another one as soon as any contract is another."""
    files = {one.descriptor.file.name: one.descriptor.file.serialized_pb for one in services}
    digest = hashlib.sha256(b"".join(files[name] for name in sorted(files)))
    return digest.hexdigest()[:12]
