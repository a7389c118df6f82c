"""A failed call as it is shown."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.cli.failure import FailedCall, describe
from tandemkit.rpc import failure
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


def test_whoever_asks_from_another_home_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing runs, the fleet of another home may answer at the usual port."""
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    wrong = failure.of_platform(platform.PLATFORM_ERROR_REASON_TOKEN_WRONG, "another token")
    trailers = grpc.aio.Metadata(*wrong.trailers())
    error = grpc.aio.AioRpcError(wrong.code, grpc.aio.Metadata(), trailers, wrong.message)
    assert f"nothing runs in {tmp_path}" in describe(error).message
    (tmp_path / "running.json").write_text("{}")
    assert describe(error).message == "another token"
