"""Calls of any agent, for those whose work is to make calls that others describe."""

from __future__ import annotations

import operator
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2

from tandem.tasks.v1 import agent_call_pb2 as pb
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.fleet_methods import FleetMethods, Untold
from tandemkit.rpc import failure, validation
from tandemkit.rpc.client import Mesh
from tandemkit.rpc.contract import UNARY_DEADLINE_S, Method
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.remote import RemoteFailure

KEY_HEADER = "x-tandem-idempotency-key"
_REQUEST_ID = "request_id"
_MESSAGE_CHARS_MAX = 1024
_RETRY_S = 1.0
_CODE = grpc.StatusCode
# What may pass. Where the callee had begun, a repetition needs a method that bears it.
_PASSING = {_CODE.UNAVAILABLE, _CODE.DEADLINE_EXCEEDED, _CODE.CANCELLED}
_NOT_BEGUN = {
    platform.PlatformErrorReason.Name(reason).removeprefix("PLATFORM_ERROR_REASON_")
    for reason in (
        platform.PLATFORM_ERROR_REASON_OVERLOADED,
        platform.PLATFORM_ERROR_REASON_CIRCUIT_OPEN,
    )
}


class AgentCaller:
    """Makes calls that are given as messages; `x-tandem-priority: batch`, for nobody waits."""

    def __init__(self, mesh: Mesh, methods: FleetMethods, caller: str = "") -> None:
        self._mesh, self._methods, self._caller = mesh, methods, caller
        self._ways: dict[str, Any] = {}

    async def check(
        self, call: pb.AgentCall, key: str, *, at_most_once: bool = False, complete: bool = True
    ) -> Method:
        """The call's method, if the call can be made with this key, and more than once unless said
        otherwise; a request that is not `complete` gets more fields before it is sent. Raises
        CallerError, in the words of tandem.tasks.v1, where it cannot, and TransientError where that
        cannot be told now.
        """
        method = await self.method(call)
        _request(call, key, method, complete=complete)
        if not (at_most_once or is_repeatable(method)):
            raise CallerError(
                errors.ERROR_REASON_METHOD_NOT_REPEATABLE,
                "a crash could make the call happen twice, which the method does not bear",
                field="method",
                method=call.method,
            )
        return method

    async def call(
        self, call: pb.AgentCall, key: str, *, at_most_once: bool = False
    ) -> pb.AgentAnswer:
        """How the call ended. `key` is the same for each attempt of one piece of work: 1 to 63
        lower-case letters, digits and hyphens, which every `request_id` of ours takes. With
        `at_most_once` only what surely did not begin may be tried again. Raises as `check` does.
        """
        method = await self.method(call)
        request = _request(call, key, method).SerializeToString()
        headers = [(KEY_HEADER, key), Priority.BATCH.header]
        if call.instance:
            headers.append((INSTANCE_HEADER, call.instance))
        try:
            way = self._way(call.method)
            response: bytes = await way(request, timeout=_timeout_s(call, method), metadata=headers)
        except grpc.aio.AioRpcError as error:
            repeatable = is_repeatable(method) and not at_most_once
            return pb.AgentAnswer(failure=failure_of(error, repeatable=repeatable))
        return pb.AgentAnswer(response=response)

    async def method(self, call: pb.AgentCall) -> Method:
        """As the agent's contract has it. Raises as `check` does."""
        try:
            method = await self._methods.find(call.method)
        except Untold as error:
            raise TransientError(
                errors.ERROR_REASON_CONTRACTS_UNREACHABLE,
                "no control answers that knows the contract of the agent",
                retry_after_s=_RETRY_S,
                method=call.method,
            ) from error
        if method is None:
            reason, said = errors.ERROR_REASON_METHOD_UNKNOWN, "no agent has the method"
            raise CallerError(reason, said, field="method", method=call.method)
        if method.client_streaming or method.server_streaming:
            reason, said = errors.ERROR_REASON_METHOD_STREAMS, "the method has streams"
            raise CallerError(reason, said, field="method", method=call.method)
        return method

    def _way(self, path: str) -> Any:
        """Bytes for bytes: what is sent was read already, and the response is its asker's to
        read.
        """
        if path not in self._ways:
            make = operator.methodcaller("unary_unary", path)
            self._ways[path] = self._mesh.stub(make, caller=self._caller)
        return self._ways[path]


def is_repeatable(method: Method) -> bool:
    """Whether it may be called twice where once was meant: it says so, or it knows the second call
    by its `request_id`.
    """
    return method.retryable or _takes_key(method)


def failure_of(error: grpc.aio.AioRpcError, *, repeatable: bool) -> pb.CallFailure:
    """What the status says, and whether to try again. What was refused before it began may be sent
    again whatever it does.
    """
    found = RemoteFailure.of(error)
    asks_for_it = found.code is _CODE.RESOURCE_EXHAUSTED and found.retry_after_s is not None
    not_begun = found.domain == failure.PLATFORM_REASONS.file.package and found.reason in _NOT_BEGUN
    told = pb.CallFailure(
        code=code_pb2.Code.Name(found.code.value[0]),
        reason=found.reason,
        domain=found.domain,
        message=found.message[:_MESSAGE_CHARS_MAX],
        may_retry=not_begun or (repeatable and (asks_for_it or found.code in _PASSING)),
    )
    if found.retry_after_s is not None:
        told.retry_after.FromNanoseconds(int(found.retry_after_s * 1e9))
    return told


def _takes_key(method: Method) -> bool:
    field = method.request.DESCRIPTOR.fields_by_name.get(_REQUEST_ID)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def _request(call: pb.AgentCall, key: str, method: Method, *, complete: bool = True) -> Message:
    """The request as it is sent: with the key where it has a place for one, within its rules."""
    try:
        request = method.request.FromString(call.request)
    except DecodeError as error:
        raise CallerError(
            errors.ERROR_REASON_CALL_REQUEST_INVALID,
            "the request is not what the method takes",
            field="request",
            expected=method.request.DESCRIPTOR.full_name,
        ) from error
    if _takes_key(method) and not getattr(request, _REQUEST_ID):
        setattr(request, _REQUEST_ID, key)
    if complete and (broken := validation.violations(request)):
        raise CallerError(
            errors.ERROR_REASON_CALL_REQUEST_INVALID,
            "the request breaks the method's contract",
            field="request",
            at=broken[0].field,
            rule=broken[0].description,
            violations_total=len(broken),
        )
    return request


def _timeout_s(call: pb.AgentCall, method: Method) -> float:
    asked_s = call.deadline.ToTimedelta().total_seconds() if call.HasField("deadline") else None
    own_s = method.deadline_s or UNARY_DEADLINE_S
    return own_s if asked_s is None else min(own_s, asked_s)
