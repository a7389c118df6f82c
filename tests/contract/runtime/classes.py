"""Who has to wait where a method has as many calls in progress as it takes on."""

from __future__ import annotations

import grpc

from tandemkit.rpc.priority import HEADER, Priority
from tandemkit.testing.failures import failure_of
from tests.contract.runtime.calls import failed
from tests.contract.runtime.hosted import Holding, Host

CODE = grpc.StatusCode


class ClassPromises:
    async def test_batch_calls_leave_seats_free(self, host: Host) -> None:
        """The last quarter is for others; an interactive call has the next seat that is left."""
        most = host.runtime.method(host.runtime.held.method).concurrent_calls_max
        held = [await of_class(host, Priority.BATCH) for _ in range(most - max(1, most // 4))]
        refused = failure_of(await (await of_class(host, Priority.BATCH)).failure())
        assert (refused.code, refused.reason) == (CODE.RESOURCE_EXHAUSTED, "OVERLOADED")
        held += [await of_class(host, Priority.STANDARD) for _ in range(most - len(held))]
        refused = failure_of(await (await of_class(host, Priority.STANDARD)).failure())
        assert refused.reason == "OVERLOADED"
        waiting = await of_class(host, Priority.INTERACTIVE)
        assert host.runtime.held.is_right(await held.pop().finish())
        for one in (waiting, *held):
            assert host.runtime.held.is_right(await one.finish())

    async def test_a_word_that_is_no_class_is_refused(self, host: Host) -> None:
        """A misspelt one would have its caller wait, or others, in silence."""
        good = host.runtime.good
        call = host.unary(good.method)(good.request, metadata=((HEADER, "urgent"),))
        found = await failed(call)
        assert (found.reason, list(found.violations)) == ("INVALID_REQUEST", [HEADER])


async def of_class(host: Host, priority: Priority) -> Holding:
    return await host.hold(metadata=(priority.header,))
