"""What a method lets in, where nobody is there to answer."""

from __future__ import annotations

import pytest

from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.room import Room, restarting
from tandemkit.testing import probe


async def test_a_limit_that_is_told_meanwhile_opens_nothing() -> None:
    """It holds as soon as somebody answers again."""
    (echo, *_) = Contract.of(probe.DESCRIPTOR).methods
    room = Room(echo)
    room.shut(restarting())
    room.limit(1)
    with pytest.raises(Refused) as refused:
        room.enter(0.0)
    assert refused.value.refusal.reason == "RESTARTING"
    room.reopen()
    call = room.enter(0.0)
    with pytest.raises(Refused) as refused:
        room.enter(0.0)
    assert refused.value.refusal.reason == "OVERLOADED"
    room.leave(call)
