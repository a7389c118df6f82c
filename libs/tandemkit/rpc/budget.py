"""How long a call may take that is made while another one is served: a share of what is left."""

from __future__ import annotations

# What the one who calls keeps to itself, to turn the answer, or its absence, into its own.
RESERVE_S_MIN = 0.010
RESERVE_SHARE = 0.05
# How much later than the called server's our own clock ends a call: it says why, a deadline that
# passes here cannot. Long enough for the way there and back on a busy machine.
OVERTIME_S = 0.25


def reserve_s(duration_s: float) -> float:
    return max(RESERVE_S_MIN, RESERVE_SHARE * duration_s)


def allowance_s(rest_s: float | None, own_s: float | None, asked_s: float | None) -> float | None:
    """Seconds for a call; zero or less where there is no point in making it, None without a bound.

    `rest_s` is left of the call being served, `own_s` is the called method's own deadline, and
    `asked_s` what the caller wants.
    """
    bounds_s = []
    if rest_s is not None:
        bounds_s.append(rest_s - reserve_s(rest_s))
    if own_s is not None:
        bounds_s.append(own_s + OVERTIME_S)
    if asked_s is not None:
        bounds_s.append(asked_s)
    return min(bounds_s, default=None)
