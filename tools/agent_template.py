"""What a new agent starts as: texts in which `$word` stands for one of its names."""

from __future__ import annotations

from string import Template

ERRORS = Template("""\
syntax = "proto3";

// The $family family.
package $package;

// Why an agent of this family refused or failed a call. Sent as `google.rpc.ErrorInfo.reason`
// without the prefix, with the domain `$package`. Each says its code: (tandem.options.v1.code).
enum ErrorReason {
  // Never sent.
  ERROR_REASON_UNSPECIFIED = 0;
}
""")

CONTRACT = Template("""\
syntax = "proto3";

package $package;

import "buf/validate/validate.proto";
import "tandem/options/v1/options.proto";

// $purpose Stateless.
service ${agent}Service {
  option (tandem.options.v1.statefulness) = STATEFULNESS_STATELESS;

  // Answers one text. Safe to retry. Fails with INVALID_ARGUMENT/INVALID_REQUEST.
  rpc $rpc(${rpc}Request) returns (${rpc}Response) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (tandem.options.v1.deadline) = {seconds: 2};
  }
}

// What to answer.
message ${rpc}Request {
  // The text, of 1 to 10000 characters.
  string text = 1 [(buf.validate.field).string = {
    min_len: 1
    max_len: 10000
  }];
}

// The answer.
message ${rpc}Response {
  // The text with every run of white space made one space. Empty if there was nothing else in it.
  string text = 1;
}
""")

MODULE = Template('''\
"""$purpose Contract: $service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

${stub_imports}from $package import ${snake}_service_pb2 as pb
from $package import ${snake}_service_pb2_grpc as rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.context import Context


def $core(text: str) -> str:
    return " ".join(text.split())


class ${agent}Servicer(rpc.${agent}ServiceServicer):
${init}    async def $rpc(self, request: pb.${rpc}Request, context: Context) -> pb.${rpc}Response:
        return pb.${rpc}Response(text=$core(request.text))


@asynccontextmanager
async def build($scope: Scope, _settings: None) -> AsyncIterator[${agent}Servicer]:
    yield ${agent}Servicer($stubs)


AGENT = Agent(contract=pb.DESCRIPTOR, ${calls}build=build)
main = AGENT.main
''')

TEST = Template('''\
"""$service, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from $module import AGENT, ${agent}Servicer, $core
${stub_imports}from $package import ${snake}_service_pb2 as pb
from $package import ${snake}_service_pb2_grpc as rpc
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.context import Context
from tandemkit.testing.agents import ${fake_import}serving
from tandemkit.testing.failures import failure_of


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[rpc.${agent}ServiceAsyncStub]:
    async with serving(AGENT, ${beside}state_dir=tmp_path) as channel:
        yield rpc.${agent}ServiceStub(channel)


async def test_white_space_becomes_one_space(agent: rpc.${agent}ServiceAsyncStub) -> None:
    """The answer is the text with its white space collapsed."""
    response = await agent.$rpc(pb.${rpc}Request(text=" a \\n b "))
    assert response.text == "a b"


async def test_an_empty_text_is_refused(agent: rpc.${agent}ServiceAsyncStub) -> None:
    """A request without a text fails with the field that lacks it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await agent.$rpc(pb.${rpc}Request())
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert failure.violations.keys() == {"text"}


async def test_a_stuck_call_ends_at_the_callers_deadline(tmp_path: Path) -> None:
    """A call that comes to no answer ends when its caller stops waiting."""
    stuck = replace(AGENT, build=_build_stuck)
    async with serving(stuck, ${beside}state_dir=tmp_path) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.${agent}ServiceStub(channel).$rpc(pb.${rpc}Request(text="a"), timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


class _Stuck(${agent}Servicer):
    async def $rpc(self, request: pb.${rpc}Request, context: Context) -> pb.${rpc}Response:
        await asyncio.Event().wait()
        return pb.${rpc}Response()


@asynccontextmanager
async def _build_stuck($scope: Scope, _settings: None) -> AsyncIterator[_Stuck]:
    yield _Stuck($stubs)


@given(st.text())
def test_a_second_pass_changes_nothing(text: str) -> None:
    """The answer to an answer is the same answer."""
    assert $core($core(text)) == $core(text)
''')

STANZA = Template("""\
  - name: $short
    service: $service
    replicas: 1
""")

FRAGMENT = Template("""\
`$short` is new: $purpose It serves `$service`.
""")

BUILD_LINE = Template('agent("$snake")\n')

INIT = Template("""\
    def __init__(self, $parameters) -> None:
        $assignments

""")
