"""What the gateway adds to a chat with a language model, beside LiteLLM's proxy in front of the
same one, and beside two processes that pass it on and do nothing else: all are asked by turns, and
the model directly between them. Of each the latency that it adds, the CPU time of all its
processes, and how long a stream's first token takes; and how long calls without a model take where
a hundred ask at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.pinned import environment_of
from tandemkit.cli.steps import Steps
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.model_servers import MODEL, ModelServer, model_server
from tandemkit.testing.parts import free_ports, short_folder
from tests.bench._bare_relay import bare_relay
from tests.bench._usage import cpu_s
from tests.cluster.fleets import Hosts
from tests.cluster.gateway_fleet import APART, MODEL_NAME, gateway_fleet

DIRECT, BARE, OURS = "the model's server", "bare relay", "tandem"
TOGETHER, THEIRS = "in one host", "litellm"
_LITELLM_KEY = "sk-Of4LoopbackAlone"
_PATH, _MEASURE = "/chat/completions", "/api/utility-toolbox/MeasureText"
_READY_S = 120.0
_TOKEN_S = 0.005
_ONE_HOST: Hosts = {"gateway": ["gateway-*", "models-*"]}


@dataclass(frozen=True)
class Way:
    """To the model: the base URL of OpenAI's API there, and the processes that are passed."""

    name: str
    url: str
    model: str
    key: str
    pids: tuple[int, ...] = ()

    def cpu_s(self) -> float:
        return sum(cpu_s(pid) for pid in self.pids)


@dataclass
class Measured:
    """Over all rounds."""

    latencies_s: list[float] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


class Load:
    """One client for all ways, with connections that stay."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def chat(self, way: Way, *, stream: bool = False) -> float:
        """Seconds until the answer is here, or its first token."""
        body = {"model": way.model, "messages": [{"role": "user", "content": "Where are you?"}]}
        started_s = stopwatch_s()
        async with self._asked(way, way.url + _PATH, body | {"stream": stream}) as answer:
            if not stream:
                await answer.read()
                return stopwatch_s() - started_s
            async for line in answer.content:
                if b'"content":' in line and b'"content":""' not in line.replace(b" ", b""):
                    took_s = stopwatch_s() - started_s
                    break
            else:
                raise RuntimeError(f"{way.name} streamed no token")
            await answer.read()
            return took_s

    async def measure(self, way: Way) -> float:
        """A call without a model: REST to an agent of another process."""
        started_s = stopwatch_s()
        url = way.url.removesuffix("/v1") + _MEASURE
        async with self._asked(way, url, {"text": "hello"}) as answer:
            await answer.read()
        return stopwatch_s() - started_s

    @asynccontextmanager
    async def _asked(
        self, way: Way, url: str, body: object
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Authorization": f"Bearer {way.key}"}
        async with self._session.post(url, json=body, headers=headers) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{way.name}: {answer.status} {await answer.text()}")
            yield answer


async def many(once: Callable[[], Awaitable[float]], count: int, at_once: int) -> list[float]:
    """`count` calls by `at_once` callers."""
    left = iter(range(count))

    async def caller() -> list[float]:
        return [await once() for _ in left]

    return [
        took for each in await asyncio.gather(*[caller() for _ in range(at_once)]) for took in each
    ]


async def rounds(
    load: Load, backend: ModelServer, ways: list[Way], count: int, at_once: int
) -> dict[str, Measured]:
    """Blocks of each way by turns, so that what else the machine does falls on all of them. Tokens
    of streams come one by one, as a model makes them.
    """
    found = {way.name: Measured() for way in ways}
    for _ in range(5):
        for way in ways:
            before_s = way.cpu_s()
            took = await many(partial(load.chat, way), count, at_once)
            found[way.name].cpu_ms.append((way.cpu_s() - before_s) / count * 1000)
            found[way.name].latencies_s += took
            backend.delay_s = _TOKEN_S
            streams = [await load.chat(way, stream=True) for _ in range(max(1, count // 16))]
            backend.delay_s = 0.0
            found[way.name].first_token_s += streams
    return found


@asynccontextmanager
async def tandem(name: str, backend: ModelServer, hosts: Hosts = APART) -> AsyncIterator[Way]:
    """As the laptop has them: the gateway in one host, the models in another."""
    async with gateway_fleet(backend, hosts=hosts) as it:
        pids = it.checkout.pids()
        passed = tuple(pids[host] for host in hosts)
        yield Way(name, f"{it.url}/v1", MODEL_NAME, it.token, passed)


@asynccontextmanager
async def bare(backend: ModelServer, folder: Path) -> AsyncIterator[Way]:
    async with bare_relay(backend.address, folder) as (url, passed):
        yield Way(BARE, f"{url}/v1", MODEL, "none", passed)


@asynccontextmanager
async def litellm(backend: ModelServer, python: Path, folder: Path) -> AsyncIterator[Way]:
    """Its proxy with one worker, and nothing switched on."""
    (port,) = free_ports(1)
    parameters = {
        "model": f"openai/{MODEL}",
        "api_base": f"{backend.address}/v1",
        "api_key": "none",
    }
    told = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": _LITELLM_KEY},
        "litellm_settings": {"telemetry": False},
    }
    config = folder / "litellm.yaml"
    config.write_text(json.dumps(told))
    program = str(python.parent / "litellm")
    argv = (program, "--config", str(config), "--port", str(port), "--num_workers", "1")
    variables = {"PATH": os.defpath, "HOME": str(folder), "LITELLM_LOG": "ERROR"}
    address = f"http://127.0.0.1:{port}"

    async def answers() -> None:
        async with aiohttp.request("GET", f"{address}/health/liveliness", raise_for_status=True):
            pass

    command = Command(argv, folder / "litellm.log", env=variables)
    async with supervised_process(command, ready=answers, ready_within_s=_READY_S) as process:
        yield Way(THEIRS, f"{address}/v1", MODEL, _LITELLM_KEY, (process.pid,))


def told(found: dict[str, Measured], at_once: int) -> dict[str, Any]:
    direct = found[DIRECT]
    base_s, first_s = direct.latencies_s, direct.first_token_s
    result: dict[str, Any] = {"callers": at_once}
    for name in (BARE, OURS, TOGETHER, THEIRS):
        one = found[name]
        cpu_ms = statistics.median(one.cpu_ms)
        result[name] = {
            "added_p50_ms": _ms(one.latencies_s, 0.5) - _ms(base_s, 0.5),
            "added_p99_ms": _ms(one.latencies_s, 0.99) - _ms(base_s, 0.99),
            "first_token_added_p50_ms": _ms(one.first_token_s, 0.5) - _ms(first_s, 0.5),
            "cpu_ms": cpu_ms,
            "cpu_ms_spread": [min(one.cpu_ms), max(one.cpu_ms)],
            "requests_per_cpu_s": 1000 / cpu_ms,
        }
    result["requests_per_cpu_s_ratio"] = (
        result[OURS]["requests_per_cpu_s"] / result[THEIRS]["requests_per_cpu_s"]
    )
    return result


def _ms(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


async def measure(count: int) -> AsyncIterator[dict[str, Any]]:
    environment = Environment.read()
    steps = Steps(sys.stderr, cache_of(environment))
    python = await environment_of(root_of(environment) / "pins-litellm.txt", environment, steps)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(short_folder()))
        backend = await enter(model_server())
        direct = Way(DIRECT, f"{backend.address}/v1", MODEL, "none")
        ours = await enter(tandem(OURS, backend))
        together = await enter(tandem(TOGETHER, backend, _ONE_HOST))
        theirs = await enter(litellm(backend, python, folder))
        connector = aiohttp.TCPConnector(limit=0)
        load = Load(await enter(aiohttp.ClientSession(connector=connector)))
        ways = [direct, await enter(bare(backend, folder)), ours, together, theirs]
        await rounds(load, backend, ways, 20, 2)
        for at_once in (1, 8, 32):
            yield told(await rounds(load, backend, ways, count, at_once), at_once)
        took = await many(partial(load.measure, ours), 20 * count, 100)
        yield {
            "callers": 100,
            "without_a_model_p95_ms": _ms(took, 0.95),
            "p95_wanted_ms": 100,
            "without_a_model_p99_ms": _ms(took, 0.99),
            "p99_wanted_ms": 500,
        }


async def run(count: int, *, as_json: bool) -> None:
    async for one in measure(count):
        print(json.dumps(one) if as_json else _text(one), flush=True)


def _text(one: dict[str, Any]) -> str:
    if "without_a_model_p95_ms" in one:
        return (
            f"{one['callers']} callers without a model: p95 {one['without_a_model_p95_ms']:.1f} ms "
            f"(100 wanted), p99 {one['without_a_model_p99_ms']:.1f} ms (500 wanted)"
        )
    lines = [f"{one['callers']} callers, beside the model's server itself:"]
    for name in (BARE, OURS, TOGETHER, THEIRS):
        each = one[name]
        low, high = each["cpu_ms_spread"]
        lines.append(
            f"  {name:11} +{each['added_p50_ms']:.2f} ms p50, +{each['added_p99_ms']:.2f} ms p99, "
            f"first token +{each['first_token_added_p50_ms']:.2f} ms p50, "
            f"{each['cpu_ms']:.2f} ms CPU ({low:.2f} to {high:.2f}): "
            f"{each['requests_per_cpu_s']:.0f} requests per CPU second"
        )
    more = f"  {OURS} has {one['requests_per_cpu_s_ratio']:.1f} times as many as {THEIRS}"
    return "\n".join([*lines, more])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=100, help="of a block")
    arguments = parser.parse_args()
    uvloop.run(run(arguments.requests, as_json=arguments.json))
