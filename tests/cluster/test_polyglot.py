"""Hosts in other languages under a real supervisor: killed, restarted, drained and traced as one of
Python is.
"""

from __future__ import annotations

import base64
import json

import aiohttp
import pytest

from services.gateway.http.agent import AGENT as GATEWAY
from services.polyglot.file_digest import AGENT as FILE_DIGEST
from services.polyglot.page_text import AGENT as PAGE_TEXT
from tandem.polyglot.v1 import file_digest_service_pb2 as digest_pb
from tandem.polyglot.v1 import page_text_service_pb2 as page_pb
from tandemkit.core.token import Token
from tandemkit.rpc import trace
from tandemkit.testing.spans import collector
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.cluster.polyglot_fleet import PER_S, Loss, PolyglotFleet, polyglot_fleet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
READ = f"/{PAGE_TEXT.promise.service.full_name}/ReadPage"
DESCRIBE = f"/{FILE_DIGEST.promise.service.full_name}/DescribeIndex"
PAGE = page_pb.ReadPageRequest(content=b"<p>Hello").SerializeToString()
INDEX = digest_pb.DescribeIndexRequest().SerializeToString()
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# What it may take on a machine that tests share.
REPLACED_S_MAX, BACK_S_MAX, ANSWER_S_MAX = 6.0, 60.0, 10.0


async def test_m016_killed_hosts_of_other_languages_are_back_and_cost_no_call(tell: Tell) -> None:
    """Calls that may be made twice succeed while a replica lives, and those that wait for a lone
    host within seconds.
    """
    async with polyglot_fleet() as fleet:
        replica = await fleet.lose("pages", READ, PAGE)
        lone = await fleet.lose("digests", DESCRIBE, INDEX, waits=True)
        _tell(tell, Node=replica, Go=lone)
        for loss in (replica, lone):
            assert loss.calls.started == loss.calls.ok
            assert loss.replaced_s <= REPLACED_S_MAX
            assert loss.back_s <= BACK_S_MAX
        assert lone.calls.slowest_s <= ANSWER_S_MAX


async def test_m179_agents_of_other_languages_are_asked_over_http() -> None:
    """By the contracts that control has of them: no face has code for any agent."""
    async with polyglot_fleet(GATEWAY) as fleet:
        url = (await fleet.checkout.told("env"))["gateway"]
        shown = {"authorization": Token(fleet.checkout.home.token).bearer}
        async with aiohttp.ClientSession(url, headers=shown) as client:
            page = {"content": base64.b64encode(b"<p>Hello").decode()}
            async with client.post("/api/polyglot-page-text/ReadPage", json=page) as told:
                assert "Hello" in await told.text()
            async with client.get("/api/polyglot-file-digest/DescribeIndex") as told:
                assert told.status == 200
            wrong = {"content": "", "link": 1}
            async with client.post("/api/polyglot-page-text/ReadPage", json=wrong) as told:
                assert (await told.json(content_type=None))["reason"] == "MESSAGE_INVALID"


async def test_m016_a_host_for_node_is_commanded_and_traced_like_any_other() -> None:
    """Restart, suspend and drain by the command line; a sampled call is one span of its own, below
    its caller's, at the collector of the environment.
    """
    async with (
        collector() as found,
        polyglot_fleet(OTEL_EXPORTER_OTLP_ENDPOINT=found.endpoint) as fleet,
    ):
        sampled = {trace.HEADER: f"00-{TRACE}-{PARENT}-01"}
        outcome = await fleet.client.run_at(
            READ, 1, request=PAGE.hex(), is_named=False, headers=sampled
        )
        assert outcome.failures == {}
        for deed, undo, state in (
            ("suspend", "resume", "SUSPENDED"),
            ("drain", "return", "DRAINING"),
        ):
            await _done(fleet, deed)
            assert await _states(fleet) == {state}
            await _done(fleet, undo)
            await eventually(fleet.serves)
        before = fleet.checkout.pids()["pages"]
        await _done(fleet, "restart", "pages")
        await eventually(fleet.serves)
        assert fleet.checkout.pids()["pages"] != before

        async def spans() -> list[tuple[str, str]]:
            return [
                (span["name"], span["parentSpanId"])
                for service, span in found.spans()
                if service == PAGE_TEXT.name and span["traceId"] == TRACE
            ]

        # What a host had not sent yet it sent when it ended.
        await fleet.checkout.tandem("down")
        assert await eventually(spans) == [(READ.removeprefix("/"), PARENT)]


def _tell(tell: Tell, **losses: Loss) -> None:
    for language, loss in losses.items():
        said = f"{loss.calls} at {PER_S} a second"
        tell(
            f"{language} host",
            f"another one {loss.replaced_s:.2f} s, back {loss.back_s:.2f} s; {said}",
        )


async def _done(fleet: PolyglotFleet, deed: str, target: str = PAGE_TEXT.name) -> None:
    done = await fleet.checkout.tandem(deed, target, "--reason", "a test")
    assert done.returncode == 0, done.stdout + done.stderr


async def _states(fleet: PolyglotFleet) -> set[str]:
    """Of the agent, on each of its hosts."""
    told = await fleet.checkout.tandem("status", "--json")
    (machine,) = json.loads(told.stdout)["machines"]
    return {
        agent["state"]
        for host in machine["hosts"]
        for agent in host["agents"]
        if agent["agent"] == PAGE_TEXT.name
    }
