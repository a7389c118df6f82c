"""A failed call as it is shown."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.cli.failure import FailedCall, describe
from tandemkit.rpc.unanswered import NOT_THERE
from tandemkit.testing.parts import free_ports


def test_what_is_empty_is_not_shown() -> None:
    """A line that ends behind its equals sign tells nobody anything."""
    told = FailedCall(
        "NOT_FOUND", "no such agent", "TARGET_UNKNOWN", metadata={"near": "", "a": "b"}
    )
    assert told.as_text() == "NOT_FOUND/TARGET_UNKNOWN: no such agent\n  a = b"


def test_what_grpc_says_is_for_programs() -> None:
    """A person reads what to do; --json has both."""
    with (
        grpc.insecure_channel(f"127.0.0.1:{free_ports(1)[0]}") as channel,
        pytest.raises(grpc.RpcError) as failed,
    ):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    told = describe(failed.value)
    assert told.as_text() == f"UNAVAILABLE: {NOT_THERE}"
    assert "onnect" in told.metadata["transport"]
