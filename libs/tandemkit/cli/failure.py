"""A failed call as a person reads it: code, reason, fields, metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from tandemkit.cli.harmless import one_line
from tandemkit.cli.running import is_noted
from tandemkit.core.environment import Environment
from tandemkit.rpc.unanswered import in_words

_DETAILS = "grpc-status-details-bin"
_TRANSPORT = "transport"


@dataclass(slots=True)
class FailedCall:
    """What the server told about a failure; what it did not tell is empty."""

    code: str
    message: str
    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: dict[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)

    def as_text(self) -> str:
        """The first line says it all; the others say where."""
        reason = f"/{self.reason}" if self.reason else ""
        lines = [f"{self.code}{reason}: {self.message}"]
        told = {name: what for name, what in self.violations.items() if what != self.message}
        lines += [f"  {name}: {what}" for name, what in told.items()]
        lines += [f"  field = {name}" for name in self.violations if name not in told]
        rest = {name: one for name, one in self.metadata.items() if one and name != _TRANSPORT}
        lines += [f"  {name} = {value}" for name, value in rest.items()]
        if self.retry_after_s is not None:
            lines.append(f"  worth trying again in {self.retry_after_s:g} s")
        return "\n".join(map(one_line, lines))


def describe(error: grpc.RpcError) -> FailedCall:
    """Reads google.rpc.Status out of the call's trailing metadata."""
    told = FailedCall(error.code().name, error.details() or "")
    for detail in _status_of(error).details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            told.reason, told.domain, told.metadata = info.reason, info.domain, dict(info.metadata)
        elif detail.Unpack(bad):
            told.violations = {one.field: one.description for one in bad.field_violations}
        elif detail.Unpack(retry):
            told.retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
    if told.reason == "TOKEN_WRONG" and not is_noted(home := Environment.read().home):
        told.message += f"; nothing runs in {home}: TANDEM_HOME names the home of what answered"
    return told if told.reason else _in_words(told)


def _in_words(told: FailedCall) -> FailedCall:
    """Of a call that no agent answered: programs find what gRPC says beside it."""
    words = in_words(told.code, told.message)
    if words == told.message:
        return told
    return replace(told, message=words, metadata={_TRANSPORT: told.message})


def _status_of(error: grpc.RpcError) -> status_pb2.Status:
    # Pairs of key and value; the stubs' type for one says neither that nor their types.
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == _DETAILS and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()
