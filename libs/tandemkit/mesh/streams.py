"""One client's side of the discovery protocol, without its transport: what it asked for, what it
was told, and what it has to be told next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from tandemkit.core import log
from tandemkit.mesh.listeners import packed
from tandemkit.mesh.snapshot import CLUSTER, ENDPOINTS, LISTENER, Resources, Snapshot

# Of these a response is the whole: what it leaves out is gone. Of the others it is a part.
_WHOLE = frozenset({LISTENER, CLUSTER})
# An Envoy says by its node's cluster that it is one.
EDGE = "tandem-edge"
_CAUSE_CHARS_MAX = 500
_LOGGER = logging.getLogger("tandemkit.mesh")


@dataclass(slots=True)
class Subscription:
    """One type on one stream."""

    names: frozenset[str] = frozenset()
    everything: bool = False
    # Asked for and not told yet.
    fresh: frozenset[str] = frozenset()
    anew: bool = True
    told: Resources | None = None
    nonce: str = ""
    accepted_version: str = ""
    objection: str = ""


class Stream:
    """Requests go in by `take`, responses come out of `due`."""

    def __init__(self) -> None:
        self.node = ""
        self.machine = ""
        # The client's kind, as it says itself.
        self.cluster = ""
        self.ended = False
        self.subscriptions: dict[str, Subscription] = {}
        self._responses_count = 0

    def take(self, request: DiscoveryRequest) -> None:
        """A subscription, its change, or the answer to a response: often all in one."""
        if request.HasField("node"):
            self.node, self.machine = request.node.id, request.node.locality.zone
            self.cluster = request.node.cluster
        one = self.subscriptions.setdefault(request.type_url, Subscription())
        if request.response_nonce and request.response_nonce != one.nonce:
            # It crossed a newer response, which will be answered with all that this one says.
            return
        if request.response_nonce:
            self._answered(one, request)
        names = frozenset(request.resource_names)
        everything = not names and request.type_url in _WHOLE and not one.names
        if names != one.names or everything != one.everything:
            added = names - one.names
            one.fresh = (one.fresh & names) | added
            one.anew = one.anew or bool(added) or everything
            one.names, one.everything = names, everything

    def due(self, snapshot: Snapshot) -> Iterator[bytes]:
        """What this client has not been told of `snapshot`, encoded, in the order of telling."""
        for resources in snapshot.parts:
            one = self.subscriptions.get(resources.type_url)
            if one is None or (one.told is resources and not one.anew):
                continue
            names = _names_due(one, resources)
            if names is not None and resources.type_url == CLUSTER and self.cluster == EDGE:
                self._ask_again(resources.changed_since(one.told))
            one.told, one.fresh, one.anew = resources, frozenset(), False
            if names is not None:
                self._responses_count += 1
                one.nonce = str(self._responses_count)
                # Two messages of one type, one behind the other, are their merger.
                nonce = DiscoveryResponse(nonce=one.nonce).SerializeToString()
                yield resources.body(names) + _unknown(resources, names) + nonce

    def _ask_again(self, changed: frozenset[str]) -> None:
        """An Envoy makes a changed cluster anew, and waits until it has heard its endpoints again,
        though they are what they were.
        """
        if ENDPOINTS in self.subscriptions:
            one = self.subscriptions[ENDPOINTS]
            one.fresh |= changed & one.names
            one.anew = one.anew or bool(one.fresh)

    def _answered(self, one: Subscription, request: DiscoveryRequest) -> None:
        one.accepted_version = request.version_info
        one.objection = ""
        if request.HasField("error_detail"):
            one.objection = request.error_detail.message[:_CAUSE_CHARS_MAX]
            log.event(
                _LOGGER,
                logging.ERROR,
                "mesh.refused_by_client",
                node=self.node,
                type=request.type_url,
                version_kept=request.version_info,
                cause=one.objection,
            )


def _names_due(one: Subscription, resources: Resources) -> frozenset[str] | None:
    """Which to send now; None for no response at all, which differs from an empty one."""
    names = frozenset(resources.by_name) if one.everything else one.names
    changed = resources.changed_since(one.told) if one.told is not resources else frozenset()
    if resources.type_url not in _WHOLE:
        return (changed & names | one.fresh) or None
    gone = one.told is not None and not names & one.told.by_name.keys() <= resources.by_name.keys()
    return names if one.anew or gone or not changed.isdisjoint(names) else None


def _unknown(resources: Resources, names: frozenset[str]) -> bytes:
    """Endpoints that nobody knows are none: a client that gets no answer waits 15 s, and with it
    every call that it makes.
    """
    if resources.type_url != ENDPOINTS or names <= resources.by_name.keys():
        return b""
    missing = sorted(names - resources.by_name.keys())
    empty = [packed(ClusterLoadAssignment(cluster_name=name)) for name in missing]
    told: bytes = DiscoveryResponse(resources=empty).SerializeToString()
    return told
