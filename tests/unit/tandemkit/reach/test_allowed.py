"""Where we may be made to connect, and where not, however it is spelled."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.reach.allowed import Allowed, Forbidden
from tandemkit.reach.failure import Unreachable


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "::ffff:127.0.0.1"])
async def test_loopback_is_allowed(host: str) -> None:
    """By whichever of its names and numbers."""
    assert all(ip_address(one).is_loopback for one in await Allowed().numbers(host))


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "10.0.0.1", "0.0.0.0", "::", "fe80::1", "::ffff:10.0.0.1", "8.8.8.8"],
)
async def test_what_is_not_near_is_forbidden(host: str) -> None:
    """The address from which clouds hand out credentials among it."""
    with pytest.raises(Forbidden, match="neither loopback nor a machine"):
        await Allowed().numbers(host)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
async def test_a_number_in_disguise_is_no_way_around(host: str) -> None:
    """Whatever the resolver makes of it is what is judged, and what is connected to."""
    try:
        found = await Allowed().numbers(host)
    except (Unreachable, Forbidden):
        return
    assert all(ip_address(one).is_loopback for one in found)


async def test_networks_and_machines_are_allowed() -> None:
    """As they are at that moment."""
    machines: list[str] = []
    allowed = Allowed([ip_network("10.8.0.0/24")], lambda: machines)
    assert await allowed.numbers("10.8.0.7") == ["10.8.0.7"]
    with pytest.raises(Forbidden):
        await allowed.numbers("10.9.0.7")
    machines += ["nowhere.invalid", "10.9.0.7"]
    assert await allowed.numbers("10.9.0.7") == ["10.9.0.7"]


async def test_a_name_that_leads_nowhere_is_told_as_such() -> None:
    """It is a mistake or a fault of the network, and no attack."""
    with pytest.raises(Unreachable, match="leads nowhere"):
        await Allowed().numbers("nowhere.invalid")


@given(st.ip_addresses())
async def test_only_loopback_is_loopback(address: object) -> None:
    """Of all numbers that there are."""
    plain = ip_address(str(address))
    mapped = getattr(plain, "ipv4_mapped", None) or plain
    try:
        await Allowed().numbers(str(address))
    except Forbidden:
        assert not mapped.is_loopback
    else:
        assert mapped.is_loopback
