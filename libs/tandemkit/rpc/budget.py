"""How long a call may take that is made while another one is served: a share of what is left."""

from __future__ import annotations

# What the one who calls keeps to itself, to turn the answer, or its absence, into its own.
RESERVE_S_MIN = 0.010
RESERVE_SHARE = 0.05


def reserve_s(duration_s: float) -> float:
    return max(RESERVE_S_MIN, RESERVE_SHARE * duration_s)


def allowance_s(rest_s: float | None, own_s: float | None, asked_s: float | None) -> float | None:
    """Seconds for a call; zero or less where there is no point in making it, None without a bound.

    `rest_s` is left of the call being served, `own_s` is the called method's own deadline, and
    `asked_s` what the caller wants. The method's own is stretched a little: its server ends the
    call on time and says why, which a deadline that passes here would not.
    """
    bounds_s = []
    if rest_s is not None:
        bounds_s.append(rest_s - reserve_s(rest_s))
    if own_s is not None:
        bounds_s.append(own_s + reserve_s(own_s))
    if asked_s is not None:
        bounds_s.append(asked_s)
    return min(bounds_s, default=None)
