"""What is known and told, as pages. Contract: FleetStatusService."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.control.fleet_status.explanation import explanation, target_of
from services.control.fleet_status.floor import Kind
from services.control.fleet_status.follower import Follower
from services.control.fleet_status.policies import PolicyFollower
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.core.names import AgentName
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.streams import Stream
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import Page, TokenInvalid, page_of

PAGE_DEFAULT, PAGE_MAX = 100, 1000
REFUSALS_MAX = 20
_KINDS = {Kind.DAMPED: pb.Treatment.KIND_DAMPED, Kind.KEPT: pb.Treatment.KIND_KEPT}


class Status(rpc.FleetStatusServiceServicer):
    def __init__(
        self, follower: Follower, policies: PolicyFollower, discovery: DiscoveryServer
    ) -> None:
        self._follower, self._policies, self._discovery = follower, policies, discovery

    async def ListAgents(
        self, request: pb.ListAgentsRequest, context: Context
    ) -> pb.ListAgentsResponse:
        catalogue = self._follower.catalogue
        agents = {
            one.service.full_name: pb.FleetAgent(
                service=one.service.full_name, short_name=one.name.short
            )
            for one in catalogue.contracts
        }
        treated = {host: _treatment(kind, end) for host, kind, end in self._follower.treatments}
        drained = self._discovery.publication.policy.drained
        page = _page(sorted(agents), "agents", request)
        shown = {name: agents[name] for name in page.names}
        for host in catalogue.hosts:
            for placed in host.placements:
                if placed.service in shown:
                    shown[placed.service].instances.add(
                        instance=placed.instance or AgentName.of(placed.service).short,
                        host=host.name,
                        machine=host.machine,
                        target=target_of(host),
                        version=host.version,
                        serving=host.serving and placed.serving,
                        treatment=treated.get(host.name),
                        drained=host.name in drained,
                    )
        told = pb.ListAgentsResponse(agents=shown.values(), next_page_token=page.next_token)
        if self._follower.stale_since is not None:
            told.stale_time.FromDatetime(self._follower.stale_since)
        return told

    async def ListSubscribers(
        self, request: pb.ListSubscribersRequest, context: Context
    ) -> pb.ListSubscribersResponse:
        streams: dict[str, Stream] = {}
        for number, stream in enumerate(self._discovery.streams):
            # Two processes may say the same node; the number tells them apart.
            streams[f"{stream.node}\0{number:09}"] = stream
        page = _page(sorted(streams), "subscribers", request)
        return pb.ListSubscribersResponse(
            subscribers=(_subscriber(streams[key]) for key in page.names),
            next_page_token=page.next_token,
        )

    async def GetPublication(
        self, request: pb.GetPublicationRequest, context: Context
    ) -> pb.GetPublicationResponse:
        publication, policies = self._discovery.publication, self._policies
        refusals = (policies.unreadable,) if policies.unreadable else ()
        told = pb.GetPublicationResponse(
            policy_version=publication.policy.version,
            latest_policy_version=policies.version,
            refusals=(*refusals, *publication.refused[:REFUSALS_MAX]),
        )
        if policies.stale_since is not None:
            told.policy_stale_time.FromDatetime(policies.stale_since)
        return told

    async def ExplainRoute(
        self, request: pb.ExplainRouteRequest, context: Context
    ) -> pb.ExplainRouteResponse:
        past = self._discovery.publication.past
        if not request.HasField("time"):
            request.time.FromDatetime(past.clock.now())
        try:
            found = past.at(request.time.ToDatetime(UTC))
        except ValueError:
            # Further away than any calendar goes, or split in a way that no clock says it.
            found = None
        if found is None:
            since = past.begins.isoformat() if past.begins else ""
            raise CallerError(
                errors.ERROR_REASON_PUBLICATION_FORGOTTEN,
                f"what clients were told then is not known; that begins at {since or 'no time'}",
                field="time",
                since=since,
            )
        return explanation(request, *found)


def _page(
    names: Sequence[str], scope: str, request: pb.ListAgentsRequest | pb.ListSubscribersRequest
) -> Page:
    size = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)
    try:
        return page_of(names, scope=scope, token=request.page_token, size=size)
    except TokenInvalid as error:
        message = "the page token belongs to no page of this listing"
        raise CallerError(
            errors.ERROR_REASON_PAGE_TOKEN_INVALID, message, field="page_token"
        ) from error


def _treatment(kind: Kind, end: datetime) -> pb.Treatment:
    told = pb.Treatment(kind=_KINDS[kind])
    told.until_time.FromDatetime(end)
    return told


def _subscriber(stream: Stream) -> pb.Subscriber:
    told = pb.Subscriber(node=stream.node, machine=stream.machine)
    for type_url, one in sorted(stream.subscriptions.items()):
        told.subscriptions.add(
            type=type_url.rpartition("/")[2],
            told_version=one.told.version if one.told else "",
            accepted_version=one.accepted_version,
            refusal=one.objection,
        )
    return told
