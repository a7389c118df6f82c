"""A failed call, read back from the wire, under the names that tests know it by."""

from __future__ import annotations

from tandemkit.rpc.remote import RemoteFailure as Failure

failure_of = Failure.of

__all__ = ["Failure", "failure_of"]
