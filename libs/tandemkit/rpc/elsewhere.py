"""What a server says of agents that it does not serve itself, where it knows of them: their health,
their contracts, and how a call to one of them ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor_pool import DescriptorPool

from tandemkit.rpc.context import Context
from tandemkit.rpc.failure import Refusal

Refuse = Callable[[str], Refusal]


class Elsewhere(Protocol):
    """The agents of a fleet, as one of its servers sees them."""

    @property
    def services(self) -> Iterable[str]:
        """Their full names."""

    @property
    def pools(self) -> Iterable[DescriptorPool]:
        """Their contracts; what stands in an earlier pool counts."""

    def serving(self, name: str) -> bool | None:
        """Whether somebody takes calls for the agent of that name; None where there is none."""

    def refusal(self, name: str) -> Refusal:
        """How a call that names an agent ends which this server cannot answer for."""


class Strangers(grpc.GenericRpcHandler):
    """Ends every call to a service that is not `own`, of whatever kind and without reading it.

    A call to an unknown method of an own service stays gRPC's: UNIMPLEMENTED.
    """

    def __init__(self, own: Iterable[str], refuse: Refuse) -> None:
        self._own, self._refuse = frozenset(own), refuse

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        name = call.method.removeprefix("/").partition("/")[0]
        if name in self._own:
            return None

        async def end(_requests: Any, context: Context) -> None:
            refusal = self._refuse(name)
            await context.abort(refusal.code, refusal.message, refusal.trailers())

        # Of the four kinds this one reads nothing by itself, and callers cannot tell.
        return grpc.stream_stream_rpc_method_handler(end)
