"""The text that a gRPC client starts from."""

from __future__ import annotations

import json

import pytest

from tandemkit.core.errors import Bug
from tandemkit.mesh.bootstrap import Node, bootstrap


def test_it_names_the_node_its_machine_and_the_control_planes_in_order() -> None:
    """The first is asked, the next while that cannot be reached; deletions are not believed."""
    told = json.loads(bootstrap(Node("host-1", "mainpc"), ["127.0.0.1:8200", "10.0.0.2:8200"]))
    assert [one["server_uri"] for one in told["xds_servers"]] == ["127.0.0.1:8200", "10.0.0.2:8200"]
    assert all("ignore_resource_deletion" in one["server_features"] for one in told["xds_servers"])
    assert told["node"]["id"] == "host-1"
    assert told["node"]["locality"] == {"zone": "mainpc"}


def test_a_client_without_a_control_plane_is_a_mistake() -> None:
    """It would wait for ever."""
    with pytest.raises(Bug):
        bootstrap(Node("host-1", "mainpc"), [])
