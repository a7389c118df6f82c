"""Every method of every agent as HTTP and JSON: `POST /api/AGENT/METHOD`, and the paths that a
contract itself names by `google.api.http`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web
from google.protobuf.message import Message

from services.gateway.http import body, events, lines, messages, query, templates
from services.gateway.http.denied import Denied, denied
from services.gateway.http.directory import Service
from services.gateway.http.face import Face
from services.gateway.http.front import Front
from services.gateway.http.templates import Binding, Bindings
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.rpc.contract import Method
from tandemkit.rpc.resume_token import FIELD
from tandemkit.rpc.resuming import is_resumable

PATH: Final = "/api/"
# As browsers send where they were when a stream of events broke.
_LAST_EVENT: Final = "Last-Event-ID"


def face(front: Front, body_bytes_max: int) -> Face:
    rest = Rest(front, body_bytes_max)
    path = f"{PATH}{{agent}}/{{method}}"
    summary = "Every method of every agent as JSON; streams as server-sent events."
    routes = (web.post(path, rest.post), web.get(path, rest.get), web.route("*", path, rest.other))
    return Face(PATH, summary, routes, elsewhere=rest.named, is_public=rest.is_public)


def asked(service: Service, method: Method) -> list[str]:
    """The ways to ask for it, the first by POST."""
    path = f"{PATH}{service.short}/{method.name}"
    named = [
        f"{one.verb} {one.template}" for one in templates.bindings(service) if one.method is method
    ]
    return [f"POST {path}", *([f"GET {path}"] if _by_get(method) else []), *named]


class Rest:
    def __init__(self, front: Front, body_bytes_max: int) -> None:
        self._front, self._body_bytes_max = front, body_bytes_max
        self._bindings = Bindings(())
        self._version = 0

    async def post(self, request: web.Request) -> web.StreamResponse:
        method = await self._method(request)
        if method.client_streaming:
            return await self._answered(request, method, self._messages(request, method))
        content = await self._content(request)
        return await self._answered(request, method, messages.message_of(method.request, content))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Only what changes nothing: links are followed by who does not know what they do."""
        method = await self._method(request)
        if not _by_get(method):
            raise _not_allowed(_verbs(method))
        value = query.value_of(method.request.DESCRIPTOR, request.query.items())
        return await self._answered(request, method, messages.filled(method.request, value))

    async def other(self, request: web.Request) -> web.StreamResponse:
        """With a verb that no method takes; which ones it takes depends on the method."""
        raise _not_allowed(_verbs(await self._method(request)))

    async def is_public(self, request: web.Request) -> bool:
        """Whether the contract lets anybody call the method; no, where there is none."""
        match = request.match_info
        if match.handler not in (self.post, self.get):
            return False
        return await self._front.directory.is_public(match["agent"], match["method"])

    async def named(self, request: web.Request) -> web.StreamResponse | None:
        """By a path that a contract names; None where none has it."""
        services = await self._front.directory.services()
        if self._version != self._front.directory.version:
            self._version, self._bindings = self._front.directory.version, Bindings(services)
        found = self._bindings.find(request.method, request.path)
        if isinstance(found, list):
            if found:
                raise _not_allowed(found)
            return None
        binding, said = found
        method = binding.method
        if method.client_streaming:
            return await self._answered(request, method, self._messages(request, method))
        message = await self._bound(request, binding, said)
        field = binding.answer
        return await self._answered(request, method, message, field)

    async def _bound(
        self, request: web.Request, binding: Binding, said: Mapping[str, str]
    ) -> Message:
        """What body, query and path say together; the path wins."""
        kind = binding.method.request
        value: dict[str, Any] = {}
        if binding.body:
            sent = messages.value_of(await self._content(request) or b"{}")
            value = sent if binding.body == "*" else {binding.body: sent}
        if binding.body != "*":
            value |= query.value_of(kind.DESCRIPTOR, request.query.items())
        message = messages.filled(kind, value)
        path: dict[str, Any] = {}
        for name, text in said.items():
            query.put(kind.DESCRIPTOR, path, name, text)
        message.MergeFrom(messages.filled(kind, path))
        return message

    async def _method(self, request: web.Request) -> Method:
        match = request.match_info
        return await self._front.directory.method(match["agent"], match["method"])

    async def _content(self, request: web.Request) -> bytes:
        _check_media(request, (messages.JSON,))
        return await body.read(request, self._body_bytes_max)

    def _messages(self, request: web.Request, method: Method) -> AsyncIterator[Message]:
        _check_media(request, lines.MEDIA_TYPES)
        return lines.requests(request, method.request, self._body_bytes_max)

    async def _answered(
        self, request: web.Request, method: Method, message: Any, field: str = ""
    ) -> web.StreamResponse:
        asked, token = self._front.asked(request), _token_of(method)
        if (last := request.headers.get(_LAST_EVENT)) is not None:
            if token is None or not isinstance(message, Message):
                raise _not_resumable()
            setattr(message, FIELD, last)
        if method.server_streaming:
            responses = self._front.stream(asked, method, message)
            return await events.answer(request, responses, token, self._front.clock)
        response = await self._front.call(asked, method, message)
        content = messages.part_of(response, field) if field else messages.bytes_of(response)
        return web.Response(body=content, content_type=messages.JSON)


def _by_get(method: Method) -> bool:
    return method.reads and not method.client_streaming


def _verbs(method: Method) -> list[str]:
    return ["POST", *(["GET", "HEAD"] if _by_get(method) else [])]


def _token_of(method: Method) -> Callable[[Any], str] | None:
    """How each response says where to go on behind it; None for a method that cannot."""
    return (lambda response: str(response.resume_token)) if is_resumable(method) else None


def _check_media(request: web.Request, taken: Iterable[str]) -> None:
    """A body without a type is taken for the right one."""
    if hdrs.CONTENT_TYPE not in request.headers:
        return
    charset = (request.charset or "utf-8").lower()
    if request.content_type in taken and charset in {"utf-8", "utf8", "us-ascii"}:
        return
    takes = ", ".join(taken)
    message = "the body is of another media type than the path takes"
    raise denied(errors.ERROR_REASON_MEDIA_TYPE_REFUSED, message, takes=takes)


def _not_allowed(verbs: list[str]) -> Denied:
    allowed = ", ".join(sorted(set(verbs)))
    reason = errors.ERROR_REASON_VERB_NOT_ALLOWED
    message = "the method is not asked with this HTTP method"
    return denied(reason, message, headers=((hdrs.ALLOW, allowed),), allowed=allowed)


def _not_resumable() -> Denied:
    message = "the method has no token to go on by; ask for it from the beginning"
    return denied(errors.ERROR_REASON_STREAM_NOT_RESUMABLE, message, header=_LAST_EVENT)
