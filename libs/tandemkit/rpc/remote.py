"""A call to another agent that failed: what its status says, read back, and what becomes of it
where a handler lets it escape.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.errors import Failure
from tandemkit.rpc import failure
from tandemkit.rpc.failure import Refusal, Violation
from tandemkit.rpc.unanswered import in_words

_CODE = grpc.StatusCode
_SHED = ("OVERLOADED", "DOWNSTREAM_OVERLOADED", "BULKHEAD_FULL")


@dataclass(frozen=True, slots=True)
class RemoteFailure:
    """Everything that a failed call says; what its server did not send is empty.

    `violations` are descriptions by field. `pushback_s` is how long a retry has to wait, below zero
    where there must be none.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: dict[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    pushback_s: float | None = None

    @property
    def is_shed(self) -> bool:
        """Whether it was refused because somebody has too much to do."""
        return self.domain == failure.PLATFORM_REASONS.file.package and self.reason in _SHED

    @property
    def is_away(self) -> bool:
        """Whether nothing is known of what was asked for: it did not answer in time, or not at all,
        or had too much to do. The same may be asked again later.
        """
        return self.code in {_CODE.UNAVAILABLE, _CODE.DEADLINE_EXCEEDED} or self.is_shed

    @property
    def words(self) -> str:
        """The message for people: what gRPC itself says where nobody answered is for none."""
        return self.message if self.reason else in_words(self.code.name, self.message)

    @property
    def as_said(self) -> Refusal:
        """For an agent that answers its own callers in the words of the other one."""
        return Refusal(
            code=self.code,
            message=self.words,
            reason=self.reason,
            domain=self.domain,
            metadata=self.metadata,
            violations=[Violation(*one) for one in self.violations.items()],
            retry_after_s=self.retry_after_s,
        )

    @classmethod
    def said(cls, refusal: Refusal) -> RemoteFailure:
        """As its caller would have read it."""
        return cls(
            refusal.code,
            refusal.message,
            refusal.reason,
            refusal.domain,
            refusal.metadata,
            {one.field: one.description for one in refusal.violations},
            refusal.retry_after_s,
        )

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> RemoteFailure:
        # As pairs: a Metadata passes for a mapping but is none to `dict`.
        trailers = dict(iter(error.trailing_metadata() or ()))
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        retry_after_s = None
        for detail in _status(trailers.get(failure.DETAILS_HEADER)).details:
            try:
                detail.Unpack(info)
                detail.Unpack(bad)
                if detail.Unpack(retry):
                    retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
            except (DecodeError, OverflowError):
                continue
        return cls(
            code=error.code(),
            message=error.details() or "",
            reason=info.reason,
            domain=info.domain,
            metadata=dict(info.metadata),
            violations={one.field: one.description for one in bad.field_violations},
            retry_after_s=retry_after_s,
            pushback_s=_pushback_s(trailers.get(failure.PUSHBACK_HEADER)),
        )


class CallFailed(Failure):
    """A call to another agent failed, for those who know no gRPC."""

    def __init__(self, found: RemoteFailure) -> None:
        super().__init__("a call failed", code=found.code.name, reason=found.reason)
        self.found = found


@contextmanager
def calling() -> Iterator[None]:
    """Calls that fail inside of it raise CallFailed."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise CallFailed(RemoteFailure.of(error)) from error


def passed_on(error: grpc.aio.AioRpcError) -> Refusal | None:
    """How the call ends whose handler did not deal with `error`; None where that is a defect.

    Who called us must not try again: our own attempt was the retry of this hop, and a retry at each
    hop would multiply along a chain.
    """
    if error.code() == _CODE.UNAVAILABLE:
        reason = platform.PLATFORM_ERROR_REASON_DOWNSTREAM_UNAVAILABLE
        message = "an agent that this one needs is unavailable"
    elif error.code() == _CODE.DEADLINE_EXCEEDED:
        reason = platform.PLATFORM_ERROR_REASON_DOWNSTREAM_LATE
        message = "an agent that this one needs did not answer in time"
    elif error.code() == _CODE.RESOURCE_EXHAUSTED:
        reason = platform.PLATFORM_ERROR_REASON_DOWNSTREAM_OVERLOADED
        message = "an agent that this one needs has more to do than it can"
    else:
        return None
    found = RemoteFailure.of(error)
    if error.code() == _CODE.RESOURCE_EXHAUSTED and not found.is_shed:
        return None  # too large a message, for one
    return failure.of_platform(
        reason,
        message,
        retry_after_s=found.retry_after_s,
        final=True,
        downstream_reason=found.reason,
        downstream_domain=found.domain,
    )


def _status(wire: str | bytes | None) -> status_pb2.Status:
    """The details; bytes that are none, from a server that is not ours, count as none."""
    status = status_pb2.Status()
    if isinstance(wire, bytes):
        try:
            status.ParseFromString(wire)
        except DecodeError:
            return status_pb2.Status()
    return status


def _pushback_s(text: str | bytes | None) -> float | None:
    if text is None:
        return None
    try:
        return int(text) / 1000
    except ValueError:
        return -1.0  # so gRPC reads what is no number
