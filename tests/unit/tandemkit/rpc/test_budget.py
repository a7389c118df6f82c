from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc.budget import OVERTIME_S, RESERVE_S_MIN, allowance_s, reserve_s
from tandemkit.rpc.current import SERVING
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import refused
from tests.unit.tandemkit.rpc.relayed import chained, request

seconds = st.floats(0, 1e6)
# gRPC rounds a deadline up on the wire, by less than two hundredths.
ROUNDED = 1.02


@given(rest_s=seconds, own_s=st.none() | seconds, asked_s=st.none() | seconds)
def test_m025_a_call_never_outlasts_the_one_that_makes_it(
    rest_s: float, own_s: float | None, asked_s: float | None
) -> None:
    """The reserve stays with the one who calls, whatever the callee or the code asks for."""
    allowed_s = allowance_s(rest_s, own_s, asked_s)
    assert allowed_s is not None
    assert allowed_s <= rest_s - reserve_s(rest_s)
    assert asked_s is None or allowed_s <= asked_s


@given(own_s=seconds)
def test_the_server_ends_a_call_at_the_methods_deadline_before_we_do(own_s: float) -> None:
    """It says why, which a deadline that passes on our side cannot."""
    allowed_s = allowance_s(None, own_s, None)
    assert allowed_s is not None
    assert allowed_s == own_s + OVERTIME_S


def test_without_any_bound_there_is_none() -> None:
    """A stream that nobody limits lasts."""
    assert allowance_s(None, None, None) is None


async def test_time_shrinks_along_a_chain() -> None:
    """Each hop has less than the one before it, by at least the reserve."""
    async with chained() as chain:
        await chain.stub.Echo(request(), timeout=20.0)
        (at_first,), (at_last,) = chain.first.came, chain.last.came
    assert at_first.left_s is not None
    assert at_last.left_s is not None
    assert at_first.left_s <= 20.0 * ROUNDED
    assert at_last.left_s <= (at_first.left_s - reserve_s(at_first.left_s)) * ROUNDED


async def test_the_contract_limits_a_call_without_a_deadline() -> None:
    """The method's own deadline reaches the wire."""
    async with chained() as chain:
        await chain.stub.Narrow(request())
        left_s = chain.first.came[0].left_s
    limit_s = probe.DEADLINE_MS / 1000
    assert left_s is not None
    assert left_s <= (limit_s + OVERTIME_S) * ROUNDED


async def test_a_call_that_cannot_be_in_time_is_not_sent() -> None:
    """It is refused at once, and the one who was called says what it lacked."""
    async with chained() as chain:
        onward = chain.first.onward
        assert onward is not None

        async def late(sent: object) -> object:
            current = SERVING.get()
            assert current is not None
            current.started_s -= probe.DEADLINE_MS / 1000 - RESERVE_S_MIN / 2
            return await onward(sent)

        chain.first.onward = late
        failure = await refused(chain.stub.Narrow(request()))
        assert chain.last.came == []
    assert failure.reason == "DOWNSTREAM_LATE"
    assert failure.metadata["downstream_reason"] == "DEADLINE_TOO_SHORT"


async def test_no_time_is_no_call() -> None:
    """A deadline that has passed is told as such."""
    async with chained() as chain:
        failure = await refused(chain.stub.Echo(request(), timeout=0.0))
        assert chain.first.came == []
    assert failure.reason == "DEADLINE_TOO_SHORT"
