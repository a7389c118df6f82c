"""In which order children stop and start, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tandemkit.supervise.charges import SETTLED, Charge, State
from tandemkit.supervise.policy import Policy, Strategy


def fallen(charges: Sequence[Charge], failed: Charge, strategy: Strategy) -> Sequence[Charge]:
    """Those that fall with the one that failed, itself among them."""
    if strategy is Strategy.ONE_FOR_ONE:
        return (failed,)
    first = charges.index(failed) if strategy is Strategy.REST_FOR_ONE else 0
    return charges[first:]


def to_stop(charges: Sequence[Charge], together: int) -> Iterator[Charge]:
    """Of those that are falling, the last ones, so many at a time."""
    room = together - sum(one.state is State.STOPPING for one in charges)
    for charge in reversed(charges):
        if charge.state is State.FALLING and room > 0:
            room -= 1
            yield charge


def to_start(charges: Sequence[Charge], policy: Policy, now_s: float) -> Iterator[Charge]:
    """Of those that wait, the first ones whose time has come. Who needs those before it waits for
    all of them; else only the first start is in order.
    """
    if policy.strategy is Strategy.ONE_FOR_ONE:
        yield from _independent(charges, policy.together, now_s)
        return
    if any(one.state in (State.FALLING, State.STOPPING) for one in charges):
        return
    for charge in charges:
        if charge.state not in SETTLED:
            if charge.state is State.WAITING and charge.due_s <= now_s:
                yield charge
            return


def _independent(charges: Sequence[Charge], together: int, now_s: float) -> Iterator[Charge]:
    ahead = 0
    for charge in charges:
        is_due = charge.state is State.WAITING and charge.due_s <= now_s
        # Asked first: who is started, holds up those behind it all the same.
        holds_up = charge.holds_up
        if is_due and (not holds_up or ahead < together):
            yield charge
        ahead += holds_up
