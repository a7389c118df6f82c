"""What a handler is told about its call, besides the request."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
# How `peer` begins for a caller in the same process.
IN_PROCESS = "in-process:"


def time_left_s(context: Context) -> float | None:
    """Seconds until the caller's own deadline; None where it set none, which gRPC's types do not
    admit.
    """
    return cast("float | None", context.time_remaining())
