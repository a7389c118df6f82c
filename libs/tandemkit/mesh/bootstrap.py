"""What a gRPC client has to know before its first call, as its environment gives it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tandemkit.core.errors import Bug

# The variable from which a gRPC client in any language takes the text below, and the one that names
# a file with it, which clients prefer.
VARIABLE = "GRPC_XDS_BOOTSTRAP_CONFIG"
FILE_VARIABLE = "GRPC_XDS_BOOTSTRAP"
# What every client calls: one channel for all agents.
TARGET = "xds:///tandem"
# A control plane that forgot a resource is in trouble; what it said before is the better guess.
_SERVER_FEATURES = ("xds_v3", "ignore_resource_deletion")


@dataclass(frozen=True, slots=True)
class Node:
    """The client, as control planes see it. Its machine decides which endpoints are near."""

    id: str
    machine: str


def bootstrap(node: Node, control_planes: Sequence[str]) -> str:
    """JSON for VARIABLE. Of the control planes, as `host:port`, the first is asked, and the next
    while it cannot be reached.
    """
    if not control_planes:
        raise Bug("a client needs a control plane", node=node.id)
    servers = [
        {
            "server_uri": address,
            "channel_creds": [{"type": "insecure"}],
            "server_features": list(_SERVER_FEATURES),
        }
        for address in control_planes
    ]
    told = {
        "xds_servers": servers,
        "node": {"id": node.id, "cluster": "tandem", "locality": {"zone": node.machine}},
    }
    return json.dumps(told, sort_keys=True)
