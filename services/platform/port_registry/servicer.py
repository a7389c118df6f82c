"""The contract's messages, made of the list of ports and the leases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from services.platform.port_registry.leases import Ask, Leases
from services.platform.port_registry.refusal import named
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import port_registry_service_pb2 as pb
from tandem.platform.v1 import port_registry_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of
from tandemkit.supervise.roll.owners import NoSuchProcess, TooMany

Planned = Mapping[int, str]
_TERM_S = 30.0
_PAGE_PORTS, _PAGE_PORTS_MAX = 100, 1000
_RETRY_S = 1.0


@contextmanager
def _storing() -> Iterator[None]:
    """For calls that change what is on disk."""
    try:
        yield
    except NoSuchProcess as error:
        reason = errors.ERROR_REASON_PROCESS_NOT_RUNNING
        raise CallerError(reason, error.message, field="pid", **error.metadata) from error
    except TooMany as error:
        reason = errors.ERROR_REASON_PROCESS_REGISTRY_FULL
        raise CallerError(reason, error.message, field="pid", **error.metadata) from error
    except Unreachable as error:
        reason = errors.ERROR_REASON_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error


class PortDesk(rpc.PortRegistryServiceServicer):
    """`planned` tells the ports of the machine's hosts, by number, as far as it is known."""

    def __init__(self, leases: Leases, planned: Callable[[], Planned]) -> None:
        self._leases, self._book, self._holding = leases, leases.book, leases.holding
        self._planned = planned

    async def AllocatePort(
        self, request: pb.AllocatePortRequest, _context: Context
    ) -> pb.AllocatePortResponse:
        term_s = request.term.ToNanoseconds() / 1e9 or _TERM_S
        wanted = (request.owner, request.use, request.range, term_s)
        ask = Ask(*wanted, request.preferred_port, request.pid)
        with _storing():
            lent = await self._leases.allocate(ask, self._planned())
        return pb.AllocatePortResponse(lease=lent.lease, passed_over=lent.passed_over)

    async def RenewPorts(
        self, request: pb.RenewPortsRequest, _context: Context
    ) -> pb.RenewPortsResponse:
        return pb.RenewPortsResponse(leases=self._leases.renew(request.owner))

    async def ReleasePorts(
        self, request: pb.ReleasePortsRequest, _context: Context
    ) -> pb.ReleasePortsResponse:
        with _storing():
            released = await self._leases.release(request.owner, request.port)
        return pb.ReleasePortsResponse(ports=released)

    async def LookupPort(
        self, request: pb.LookupPortRequest, _context: Context
    ) -> pb.LookupPortResponse:
        port = request.port or named(self._book, request.name)
        found = self._port(port, self._planned())
        return pb.LookupPortResponse(port=found, bound=self._holding.bound(port))

    async def ListPorts(
        self, request: pb.ListPortsRequest, _context: Context
    ) -> pb.ListPortsResponse:
        meant = self._meant(self._planned())
        ports = {f"{one.port:05}": one for one in meant if _fits(one, request)}
        size = min(request.page_size or _PAGE_PORTS, _PAGE_PORTS_MAX)
        scope = f"{request.range} {request.owner}"
        try:
            page = page_of(sorted(ports), scope=scope, token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            said = "the page token belongs to no page of this listing"
            raise CallerError(reason, said, field="page_token") from error
        found = [ports[name] for name in page.names]
        return pb.ListPortsResponse(ports=found, next_page_token=page.next_token)

    async def ListPortRanges(
        self, _request: pb.ListPortRangesRequest, _context: Context
    ) -> pb.ListPortRangesResponse:
        found, planned = pb.ListPortRangesResponse(), self._planned()
        for name in self._book.ranges:
            span = self._book.span(name)
            lent = sum(one.range == name for one in self._holding.leases())
            free = len(self._leases.free(name, planned))
            found.ranges.add(name=name, first=span.start, last=span.stop - 1, lent=lent, free=free)
        return found

    def _meant(self, planned: Planned) -> Iterator[pb.Port]:
        lent = [one.port for one in self._holding.leases()]
        for port in {*self._book.fixed.values(), *self._book.reserved, *planned, *lent}:
            yield self._port(port, planned)

    def _port(self, port: int, planned: Planned) -> pb.Port:
        book = self._book
        span = next((name for name in book.ranges if port in book.span(name)), "")
        if lease := self._holding.lease(port):
            return pb.Port(port=port, standing=pb.PORT_STANDING_LENT, range=span, lease=lease)
        if port in book.reserved:
            standing, meaning = pb.PORT_STANDING_RESERVED, book.reserved[port]
        elif port in book.fixed.values():
            standing = pb.PORT_STANDING_FIXED
            meaning = next(name for name, number in book.fixed.items() if number == port)
        elif port in planned:
            standing, meaning = pb.PORT_STANDING_PLANNED, planned[port]
        else:
            standing = pb.PORT_STANDING_FREE if span else pb.PORT_STANDING_UNKNOWN
            meaning = ""
        return pb.Port(port=port, standing=standing, range=span, meaning=meaning)


def _fits(port: pb.Port, request: pb.ListPortsRequest) -> bool:
    return request.range in {"", port.range} and request.owner in {"", port.lease.owner}
