"""The ways in which a server, or what stands in for one, fails whoever uses it. Free of
transport.
"""

from __future__ import annotations

from tandemkit.core.errors import Failure


class Unreachable(Failure):
    """It did not answer in time, or its disk refused. Whether a write took effect is not known."""


class Refused(Failure):
    """It answered, and will not: for lack of a permission, of trust, or of a sound request.
    Nothing was done, and trying again changes nothing until somebody acts.
    """
