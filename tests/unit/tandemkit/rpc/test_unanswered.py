"""What gRPC says of calls that nobody answered, told in words: its own sentences, as they came."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.gateway.http.denied import Denied
from tandemkit.rpc import unanswered
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.unanswered import in_words
from tandemkit.testing.parts import free_ports

CODE = grpc.StatusCode
NO_HOST = "no children in weighted_target policy (EDS resource agents: contains no localities)"
NO_CONTROL = (
    "empty address list (LDS resource tandem: xDS channel for server 127.0.0.1:8200: channel in "
    "TRANSIENT_FAILURE: failed to connect to all addresses; last error: UNKNOWN: "
    "ipv4:127.0.0.1:8200: Failed to connect to remote host: connect: Connection refused (111))"
)
SAID = [
    (NO_HOST, unanswered.NOBODY),
    (NO_HOST.replace("agents", "~nowhere"), unanswered.NO_INSTANCE),
    (NO_CONTROL, unanswered.NO_CONTROL),
    (NO_HOST.replace("localities", "localities; xDS channel for server a: b"), unanswered.NOBODY),
    ("Socket closed", unanswered.BROKEN),
    ("recvmsg:Connection reset by peer", unanswered.BROKEN),
    ("the disk is gone", "the disk is gone"),
]


@pytest.mark.parametrize(("said", "words"), SAID)
def test_what_grpc_says_is_told_in_words(said: str, words: str) -> None:
    """A sentence that is not known stays, for it may be another server's own."""
    assert in_words("UNAVAILABLE", said) == words
    assert in_words("INTERNAL", said) == said


def test_no_face_of_the_gateway_tells_what_grpc_says() -> None:
    """And what an agent says with a reason is told as it is."""
    assert Denied.of(RemoteFailure(CODE.UNAVAILABLE, NO_HOST)).message == unanswered.NOBODY
    late = Denied.of(RemoteFailure(CODE.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    assert (late.message, late.reason) == (unanswered.LATE, "DEADLINE_EXCEEDED")
    own = RemoteFailure(CODE.UNAVAILABLE, "Socket closed", "STORE_AWAY", "tandem.memory.v1")
    assert Denied.of(own).message == own.as_said.message == "Socket closed"


async def test_a_port_that_nobody_listens_at_is_told_in_words() -> None:
    """With the sentence of the gRPC that is installed, whichever that is."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{free_ports(1)[0]}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert RemoteFailure.of(failed.value).words == unanswered.NOT_THERE
