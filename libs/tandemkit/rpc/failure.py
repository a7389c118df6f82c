"""What a failure looks like on the wire: one canonical code, one reason, and at most one detail of
each other kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
from google.protobuf.descriptor import EnumDescriptor
from google.rpc import error_details_pb2, status_pb2

from tandem.options.v1 import options_pb2 as options
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import redaction
from tandemkit.core.errors import Bug, CallerError, TransientError, TriedError
from tandemkit.core.redaction import redacted

# Trailers past 8 KiB are refused by gRPC itself, and the caller would see that instead of our
# answer.
_VALUE_BYTES_MAX = 256
_METADATA_BYTES_MAX = 2048
_VIOLATIONS_BYTES_MAX = 3072
DETAILS_HEADER = "grpc-status-details-bin"
# Milliseconds until a retry is welcome; gRPC's own clients obey it too. Below zero: never.
PUSHBACK_HEADER, NEVER = "grpc-retry-pushback-ms", "-1"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
PLATFORM_REASONS: EnumDescriptor = platform.PlatformErrorReason.DESCRIPTOR


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that broke a rule, as a path such as `agents[0].name`."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ends when it does not end well. `final` asks callers not to try once more; `quiet`
    leaves no line in the log, of which there would be too many.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str] = field(default_factory=dict)
    violations: Sequence[Violation] = ()
    retry_after_s: float | None = None
    final: bool = False
    quiet: bool = False

    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """The `google.rpc.Status` that carries the details, as gRPC sends it."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=self.domain)
        for key, value in self.metadata.items():
            if info.ByteSize() < _METADATA_BYTES_MAX:
                info.metadata[key] = _cut(value)
        status.details.add().Pack(info)
        if self.violations:
            bad = error_details_pb2.BadRequest()
            for one in self.violations:
                if bad.ByteSize() < _VIOLATIONS_BYTES_MAX:
                    bad.field_violations.add(
                        field=_cut(one.field), description=_cut(one.description)
                    )
            status.details.add().Pack(bad)
        if self.retry_after_s is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self.retry_after_s * 1e9))
            status.details.add().Pack(retry)
        details = (DETAILS_HEADER, status.SerializeToString())
        return (details, (PUSHBACK_HEADER, NEVER)) if self.final else (details,)


def veiled(refusal: Refusal) -> Refusal:
    """Without secrets of this process: what callers see was written by whoever raised it."""
    if redaction.is_idle():
        return refusal
    return replace(
        refusal,
        message=redacted(refusal.message),
        metadata={key: redacted(value) for key, value in refusal.metadata.items()},
        violations=[
            Violation(redacted(one.field), redacted(one.description)) for one in refusal.violations
        ],
    )


class Refused(Exception):
    """Ends a call with an answer that the platform already knows."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def of_agent(error: CallerError | TransientError, reasons: EnumDescriptor | None) -> Refusal:
    """A failure that the agent raised, in the terms of its family. A reason that the family does
    not know is a Bug.
    """
    if reasons is None:
        raise Bug("the agent's family declares no reasons", reason=error.reason) from error
    code, reason = said(reasons, error.reason)
    at_fault = error.field if isinstance(error, CallerError) else ""
    return Refusal(
        code=code,
        message=error.message,
        reason=reason,
        domain=reasons.file.package,
        metadata=error.metadata,
        violations=(Violation(at_fault, error.message),) if at_fault else (),
        retry_after_s=error.retry_after_s if isinstance(error, TransientError) else None,
        final=isinstance(error, TriedError),
    )


def of_platform(
    reason: int,
    message: str,
    *,
    violations: Sequence[Violation] = (),
    retry_after_s: float | None = None,
    final: bool = False,
    **metadata: object,
) -> Refusal:
    """A call that the platform ended, whatever the agent behind it."""
    code, name = said(PLATFORM_REASONS, reason)
    return Refusal(
        code=code,
        message=message,
        reason=name,
        domain=PLATFORM_REASONS.file.package,
        metadata={key: str(value) for key, value in metadata.items()},
        violations=violations,
        retry_after_s=retry_after_s,
        final=final,
    )


def _cut(text: str) -> str:
    # Names of files and others' JSON may hold what is no text.
    return text.encode(errors="replace")[:_VALUE_BYTES_MAX].decode(errors="ignore")


def said(reasons: EnumDescriptor, number: int) -> tuple[grpc.StatusCode, str]:
    """The canonical code and the bare name of a reason, as the contract gives them."""
    value = reasons.values_by_number.get(number)
    extensions: Any = value.GetOptions() if value else None
    if value is None or not extensions.HasExtension(options.code):
        raise Bug(
            "the family has no such reason, or it has no code",
            reason=number,
            family=reasons.full_name,
        )
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in reasons.name).lstrip("_")
    return _CODES[extensions.Extensions[options.code]], value.name.removeprefix(f"{prefix}_")
