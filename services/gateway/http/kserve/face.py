"""The Open Inference Protocol over HTTP: what inference.GRPCInferenceService answers, in JSON. What
it is and what it is not: docs/design/kserve.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from inference import grpc_inference_service_pb2 as pb
from services.gateway.http import body
from services.gateway.http.asking import Asked
from services.gateway.http.denied import Denied, denied, status_of
from services.gateway.http.face import Face, denied_headers
from services.gateway.http.front import Front
from services.gateway.http.kserve.reading import LENGTH_HEADER, asked_of, fields_of
from services.gateway.http.kserve.writing import answered, encoded, value_of
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.hosting.relay import ANYBODY
from tandemkit.rpc.contract import Method

PATH: Final = "/v2"
_JSON, _BYTES = "application/json", "application/octet-stream"
_METHODS: Final = {
    one.name: Method.of(one)
    for one in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
}
# A name may have slashes in it, and what stands behind it is none of it.
_MODEL: Final = r"/v2/models/{model:.+?}"
_VERSION: Final = r"/versions/{version:[^/]+}"
_OPEN: Final = frozenset({PATH, f"{PATH}/health/live", f"{PATH}/health/ready"})
_ANYBODY: Final = Asked(ANYBODY, (), None)
Answer = Callable[[web.Request], Awaitable[web.Response]]


def face(front: Front, body_bytes_max: int) -> Face:
    answers = _Answers(front, body_bytes_max)
    below: tuple[tuple[str, Callable[..., web.RouteDef], Answer], ...] = (
        ("/infer", web.post, answers.infer),
        ("/ready", web.get, answers.model_ready),
        ("/config", web.get, answers.config),
        ("/stats", web.get, answers.statistics),
        ("", web.get, answers.model),
    )
    routes = (
        web.get(PATH, answers.server),
        web.get(f"{PATH}/health/live", answers.live),
        web.get(f"{PATH}/health/ready", answers.ready),
        web.get(f"{PATH}/models/stats", answers.statistics),
        web.post(f"{PATH}/repository/index", answers.index),
        web.post(f"{PATH}/repository/models/{{model:.+}}/load", answers.load),
        web.post(f"{PATH}/repository/models/{{model:.+}}/unload", answers.unload),
        *(
            verb(f"{_MODEL}{version}{tail}", answer)
            for tail, verb, answer in below
            for version in (_VERSION, "")
        ),
        web.route("*", f"{PATH}/{{path:.+}}", answers.absent),
    )
    summary = "The Open Inference Protocol (KServe v2)."
    return Face(PATH, summary, routes, says, _OPEN, is_public=answers.is_public)


def says(_request: web.BaseRequest, said: Denied) -> web.Response:
    """As clients of the protocol read it."""
    value = {"error": said.message, "code": said.code, "reason": said.reason}
    if said.retry_after:
        value["retryAfter"] = said.retry_after
    return web.Response(
        status=said.http_status,
        body=encoded(value),
        content_type=_JSON,
        headers=denied_headers(said),
    )


class _Answers:
    """One method for each path. Each raises Denied."""

    def __init__(self, front: Front, body_bytes_max: int) -> None:
        self._front, self._body_bytes_max = front, body_bytes_max

    async def is_public(self, request: web.Request) -> bool:
        """Whether a model is ready, as over gRPC."""
        return request.match_info.handler == self.model_ready

    async def server(self, _request: web.Request) -> web.Response:
        told = await self._front.call(
            _ANYBODY, _METHODS["ServerMetadata"], pb.ServerMetadataRequest()
        )
        return _said(value_of(told))

    async def live(self, _request: web.Request) -> web.Response:
        told = await self._front.call(_ANYBODY, _METHODS["ServerLive"], pb.ServerLiveRequest())
        return _health("live", is_well=told.live)

    async def ready(self, _request: web.Request) -> web.Response:
        told = await self._front.call(_ANYBODY, _METHODS["ServerReady"], pb.ServerReadyRequest())
        return _health("ready", is_well=told.ready)

    async def model_ready(self, request: web.Request) -> web.Response:
        told = await self._call(request, "ModelReady", pb.ModelReadyRequest(**_named(request)))
        return _health("ready", is_well=told.ready)

    async def model(self, request: web.Request) -> web.Response:
        named = pb.ModelMetadataRequest(**_named(request))
        return _said(value_of(await self._call(request, "ModelMetadata", named)))

    async def config(self, request: web.Request) -> web.Response:
        told = await self._call(request, "ModelConfig", pb.ModelConfigRequest(**_named(request)))
        return _said(value_of(told.config))

    async def statistics(self, request: web.Request) -> web.Response:
        named = pb.ModelStatisticsRequest(**_named(request))
        return _said(value_of(await self._call(request, "ModelStatistics", named)))

    async def index(self, request: web.Request) -> web.Response:
        said = fields_of(await self._body(request), {"ready"})
        is_ready = said.get("ready") is True
        told = await self._call(
            request, "RepositoryIndex", pb.RepositoryIndexRequest(ready=is_ready)
        )
        return _said(value_of(told)["models"])

    async def load(self, request: web.Request) -> web.Response:
        asked = pb.RepositoryModelLoadRequest(model_name=request.match_info["model"])
        return await self._changed(request, "RepositoryModelLoad", asked)

    async def unload(self, request: web.Request) -> web.Response:
        asked = pb.RepositoryModelUnloadRequest(model_name=request.match_info["model"])
        return await self._changed(request, "RepositoryModelUnload", asked)

    async def infer(self, request: web.Request) -> web.Response:
        named = _named(request)
        sent = await self._body(request)
        length = request.headers.get(LENGTH_HEADER)
        asked = asked_of(named["name"], named.get("version", ""), sent, length)
        told = await self._call(request, "ModelInfer", asked.request)
        text, behind = answered(asked, told)
        if not behind:
            return web.Response(body=text, content_type=_JSON)
        headers = {LENGTH_HEADER: str(len(text))}
        return web.Response(body=b"".join((text, *behind)), content_type=_BYTES, headers=headers)

    async def absent(self, _request: web.Request) -> web.Response:
        reason = errors.ERROR_REASON_INFERENCE_FEATURE_UNSUPPORTED
        message = "the gateway has no such path of the inference protocol"
        raise denied(reason, message, feature="path")

    async def _changed(
        self,
        request: web.Request,
        method: str,
        asked: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest,
    ) -> web.Response:
        said = fields_of(await self._body(request), {"parameters"}).get("parameters") or {}
        for name, value in said.items() if isinstance(said, dict) else ():
            # What it holds is of no matter: the agent refuses all that would be of any.
            asked.parameters[str(name)].string_param = str(value)
        await self._call(request, method, asked)
        return _said({})

    async def _call(self, request: web.Request, method: str, message: Any) -> Any:
        return await self._front.call(self._front.asked(request), _METHODS[method], message)

    async def _body(self, request: web.Request) -> bytes:
        return await body.read(request, self._body_bytes_max)


def _named(request: web.Request) -> dict[str, str]:
    """What the path names."""
    known = (("name", "model"), ("version", "version"))
    found = request.match_info
    return {field: found[part] for field, part in known if part in found}


def _health(word: str, *, is_well: bool) -> web.Response:
    status = HTTPStatus.OK if is_well else status_of("UNAVAILABLE")
    return web.Response(status=status, body=encoded({word: is_well}), content_type=_JSON)


def _said(value: object) -> web.Response:
    return web.Response(body=encoded(value), content_type=_JSON)
