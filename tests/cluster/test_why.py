"""A call through the mesh, and afterwards what decided where it went."""

from __future__ import annotations

from typing import Any

import pytest

from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout, detached_fleet

pytestmark = pytest.mark.cluster
METHOD = "utility-toolbox/MeasureText"
NOTE = ("--reason", "to see what it does")


async def traced(fleet: Checkout, *more: str) -> str:
    """A call, and its trace."""
    done = await fleet.tandem("call", METHOD, "--text", "hello", "--trace", *more)
    assert done.returncode == 0, done.stderr
    word, trace_id = done.stderr.split()
    assert word == "trace"
    return trace_id


async def decided(fleet: Checkout, trace_id: str) -> Any:
    told = await fleet.told("why", trace_id)
    (call,) = told["calls"]
    assert call["rpc"].endswith(".ToolboxService/MeasureText")
    assert (call["host"], call["code"]) == ("hosts/laptop-agents", "OK")
    return call["decided"]


async def test_why_names_the_host_the_route_and_the_revision_of_its_time() -> None:
    """Also of a call that was made before the policy changed."""
    async with detached_fleet((*SERVED, TRAFFIC_POLICY)) as fleet:
        first = await traced(fleet)
        before = await decided(fleet, first)
        assert before["match"] == "/tandem.utility.v1.ToolboxService/"
        (target,) = before["targets"]
        assert [one["host"] for one in target["endpoints"]] == ["hosts/laptop-agents"]
        fault = ("fault", "utility-toolbox", "--delay-s", "0.01", "--percent", "100")
        await fleet.told("policy", *fault, *NOTE)

        async def look() -> Any:
            return await decided(fleet, await traced(fleet))

        after = await eventually(look, lambda one: one["policy_version"] == 1)
        assert after["revision"] > before["revision"]
        assert after["fault"] == {"percent": 100.0, "code": "OK", "delay_s": 0.01}
        again = await decided(fleet, first)
        assert again["revision"] == before["revision"]
        assert (again["policy_version"], again["fault"]) == (0, None)
        named = await traced(fleet, "--instance", "utility-toolbox")
        (call,) = (await fleet.told("why", named))["calls"]
        assert call["instance"] == "utility-toolbox"
        text = (await fleet.tandem("why", first)).stdout
        assert f"revision {before['revision']} (no policy)" in text
        assert "<- served it" in text


async def test_a_call_that_reached_no_host_is_explained_without_a_trace() -> None:
    """By its method, for there is no line of it: `why` says so and whom to ask."""
    async with detached_fleet((*SERVED, TRAFFIC_POLICY)) as fleet:
        await fleet.told("drain", "agents", *NOTE)

        async def fails() -> list[str]:
            done = await fleet.tandem("call", METHOD, "--text", "hello", "--trace")
            return done.stderr.split() if done.returncode == 1 else []

        _word, trace_id, *_cause = await eventually(fails, bool)
        asked = await fleet.tandem("why", trace_id)
        assert asked.returncode == 1
        assert "control-fleet-status/ExplainRoute" in asked.stderr
        method = "tandem.utility.v1.ToolboxService/MeasureText"
        explain = ("control-fleet-status/ExplainRoute", "--method", method, "--time", "now")
        route = (await fleet.told("call", *explain))["route"]
        assert route["targets"][0]["endpoints"] == []
        (absent,) = route["leftOut"]
        assert (absent["host"], absent["cause"]) == ("hosts/laptop-agents", "CAUSE_DRAINED")
