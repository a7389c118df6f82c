"""A request that is not answered: what every face says of it in the form of its own protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from tandem.gateway.v1 import errors_pb2 as errors
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.errors import Failure
from tandemkit.rpc import failure
from tandemkit.rpc.remote import RemoteFailure

_REASONS: Final = errors.ErrorReason.DESCRIPTOR
# As google/rpc/code.proto maps them.
_STATUS: Final[Mapping[str, int]] = {
    "OK": HTTPStatus.OK,
    "CANCELLED": 499,
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "DEADLINE_EXCEEDED": HTTPStatus.GATEWAY_TIMEOUT,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "ALREADY_EXISTS": HTTPStatus.CONFLICT,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "FAILED_PRECONDITION": HTTPStatus.BAD_REQUEST,
    "ABORTED": HTTPStatus.CONFLICT,
    "OUT_OF_RANGE": HTTPStatus.BAD_REQUEST,
    "UNIMPLEMENTED": HTTPStatus.NOT_IMPLEMENTED,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}
# What HTTP has a word of its own for.
_OWN_STATUS: Final[Mapping[int, int]] = {
    errors.ERROR_REASON_VERB_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.ERROR_REASON_MEDIA_TYPE_REFUSED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.ERROR_REASON_BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.ERROR_REASON_BODY_LATE: HTTPStatus.REQUEST_TIMEOUT,
    errors.ERROR_REASON_HEAD_TOO_LARGE: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ERROR_REASON_HOST_REFUSED: HTTPStatus.MISDIRECTED_REQUEST,
}

# Of calls that no agent answered.
_UNSAID: Final[Mapping[str, int]] = {
    "DEADLINE_EXCEEDED": platform.PLATFORM_ERROR_REASON_DEADLINE_EXCEEDED,
    "UNAVAILABLE": platform.PLATFORM_ERROR_REASON_DOWNSTREAM_UNAVAILABLE,
}


def status_of(code: str) -> int:
    """What HTTP calls a code of gRPC, by its name."""
    return _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)


@dataclass(eq=False)
class Denied(Exception):
    """`code` is the name of gRPC's, and the words are those that a gRPC caller would be told.
    `violations` are descriptions by field; `headers` stand beside whatever a face says.
    """

    code: str
    message: str
    reason: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.code}/{self.reason}: {self.message}"

    @property
    def retry_after(self) -> str:
        """As every face says it beside its error: a duration as protobuf's JSON has it, and never
        too soon. Empty where nobody knows.
        """
        if self.retry_after_s is None:
            return ""
        wait_s = math.ceil(self.retry_after_s * 1000) / 1000
        return f"{wait_s:.3f}".rstrip("0").rstrip(".") + "s"

    @property
    def http_status(self) -> int:
        return self.status or status_of(self.code)

    @classmethod
    def of(cls, found: RemoteFailure) -> Denied:
        """What an agent says that was called, or the gate before it."""
        reason, domain = found.reason, found.domain
        if not reason and found.code.name in _UNSAID:
            reason = failure.said(failure.PLATFORM_REASONS, _UNSAID[found.code.name])[1]
            domain = failure.PLATFORM_REASONS.file.package
        return cls(
            found.code.name,
            found.words,
            reason,
            domain,
            found.metadata,
            found.violations,
            found.retry_after_s,
        )


def denied(
    reason: int,
    message: str,
    *,
    violations: Mapping[str, str] | None = None,
    retry_after_s: float | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    **metadata: object,
) -> Denied:
    """By the gateway itself, for a reason of its family."""
    told = Failure(message, **metadata)
    code, name = failure.said(_REASONS, reason)
    return Denied(
        code.name,
        message,
        name,
        _REASONS.file.package,
        told.metadata,
        violations or {},
        retry_after_s,
        _OWN_STATUS.get(reason, 0),
        headers,
    )
