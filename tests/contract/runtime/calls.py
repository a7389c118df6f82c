"""What happens to a call between the wire and its agent."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tandemkit.testing.failures import Failure, failure_of
from tests.contract.runtime.hosted import Host

CODE = grpc.StatusCode
PLATFORM = "tandem.type.v1"


class CallPromises:
    async def test_a_call_is_answered(self, host: Host) -> None:
        """By a caller who shows the fleet's token."""
        good = host.runtime.good
        assert good.is_right(await host.ask(good))

    async def test_a_call_without_the_token_is_refused(self, host: Host) -> None:
        """Before anything of it is read, with what to do; and so is one with another token."""
        good = host.runtime.good
        call = host.unary(good.method, shows_token=False)
        found = await failed(call(good.request))
        assert (found.code, found.reason) == (CODE.UNAUTHENTICATED, "TOKEN_MISSING")
        assert (found.domain, "authorization" in found.message) == (PLATFORM, True)
        for value in ("Bearer " + "x" * 43, "Basic abc", ""):
            found = await failed(call(good.request, metadata=(("authorization", value),)))
            assert (found.code, found.reason) == (CODE.UNAUTHENTICATED, "TOKEN_WRONG")
        assert "rpc.refused" in {line["event"] for line in host.lines()}

    async def test_the_scheme_of_the_token_has_no_case(self, host: Host) -> None:
        """`bearer` opens as `Bearer` does."""
        good = host.runtime.good
        value = host.token.bearer.replace("Bearer", "bearer")
        call = host.unary(good.method, shows_token=False)
        assert good.is_right(await call(good.request, metadata=(("authorization", value),)))

    async def test_a_changed_token_is_known_at_once(self, host: Host) -> None:
        """The new one opens, and the old one does within its grace, without a restart."""
        good, old = host.runtime.good, host.token.bearer
        host.token.rotate()
        assert host.token.bearer != old
        assert good.is_right(await host.ask(good))
        call = host.unary(good.method, shows_token=False)
        assert good.is_right(await call(good.request, metadata=(("authorization", old),)))

    async def test_a_request_that_breaks_its_contract_is_refused(self, host: Host) -> None:
        """The agent never sees it, and its caller is told which field."""
        broken = host.runtime.broken
        found = await failed(host.unary(broken.method)(broken.request))
        assert (found.code, found.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert found.domain == PLATFORM
        assert list(found.violations) == [broken.field]
        assert found.violations[broken.field]
        assert found.metadata == {"violations_total": "1"}

    async def test_bytes_that_are_no_message_are_refused(self, host: Host) -> None:
        """As a broken contract, and not as a defect of the agent."""
        found = await failed(host.raw(host.runtime.good.method)(b"\xff\xff\xff"))
        assert (found.code, found.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert found.violations

    async def test_a_refusal_of_the_agent_has_its_reason(self, host: Host) -> None:
        """In the terms of its family, with the code that the family's contract gives it."""
        refused = host.runtime.refused
        found = await failed(host.unary(refused.method)(refused.request))
        assert (found.reason, found.domain) == (refused.reason, host.runtime.file.package)
        assert found.code is CODE.INVALID_ARGUMENT
        assert found.message

    async def test_an_unknown_method_is_none(self, host: Host) -> None:
        """For who shows the token; who does not is not told."""
        path = f"/{host.runtime.service}/NoSuchMethod"
        call: Any = host.channel.unary_unary(path)
        assert (await failed(call(b""))).code is CODE.UNIMPLEMENTED


async def failed(call: Any) -> Failure:
    """How the call failed."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return failure_of(refused.value)
