"""How a host ends: gently, in an order that its callers do not notice."""

from __future__ import annotations

import signal
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandemkit.supervise.processes import ProcessEnded
from tests.contract.runtime.hosted import Fleet, ended

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class DrainPromises:
    async def test_it_leaves_before_it_refuses_and_lets_calls_finish(self, fleet: Fleet) -> None:
        """SIGTERM takes it out of the registry by its own word; a call in progress is answered, all
        who watch are told last that it drains, and then it ends well.
        """
        host = await fleet.start()
        await fleet.until_there(host.name)
        held = await host.hold()
        health: Any = health_pb2_grpc.HealthStub(host.open_channel)
        asked = health_pb2.HealthCheckRequest(service=host.runtime.service)
        probe, watch = health.Watch(asked), await host.watch()
        await probe.read()
        async with fleet.control() as channel:
            stub = registry_rpc.RegistryServiceStub(channel)
            hosts: Any = stub.WatchHosts(registry.WatchHostsRequest())
            await hosts.read()
            host.signal(signal.SIGTERM)
            while (told := await hosts.read()).removed.host != host.name:
                continue
            assert told.removed.drained
            hosts.cancel()
        assert (await probe.read()).status == NOT_SERVING
        assert await probe.read() is grpc.aio.EOF
        while not (last := await watch.read()).draining:
            continue
        assert [one.state for one in last.agents] == [nouns.AGENT_STATE_DRAINING]
        assert await watch.read() is grpc.aio.EOF
        assert (await host.get("/health")).value["status"] == "DRAINING"
        assert host.runtime.held.is_right(await held.finish())
        assert await ended(host.process) == 0
        assert [one["event"] for one in host.lines()][-1] == "host.stopped"
        assert host.events("host.draining")

    async def test_what_does_not_finish_is_ended(self, fleet: Fleet) -> None:
        """When its grace is over."""
        host = await fleet.start("--grace-s", "0.5")
        held = await host.hold()
        host.signal(signal.SIGTERM)
        assert (await held.failure()).code() in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.CANCELLED,
        }
        assert await ended(host.process) == 0

    async def test_a_second_signal_ends_it_at_once(self, fleet: Fleet) -> None:
        """Whoever asks twice means it."""
        host = await fleet.start()
        await host.hold()
        host.signal(signal.SIGTERM)
        await host.until_logged("host.draining")
        host.signal(signal.SIGTERM)
        assert await ended(host.process, within_s=5.0) == -signal.SIGTERM

    @pytest.mark.parametrize("option", ["--listen", "--no-such-option"])
    async def test_an_option_that_it_cannot_take_ends_it(self, fleet: Fleet, option: str) -> None:
        """With status 2, and a sentence."""
        with pytest.raises(ProcessEnded) as ending:
            await fleet.start(option)
        assert ending.value.metadata["exit_status"] == "2"
        assert option in ending.value.metadata["log_tail"]
