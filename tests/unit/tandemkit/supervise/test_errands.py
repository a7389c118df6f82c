from __future__ import annotations

import asyncio

from tandemkit.supervise.errands import Errands


async def test_errands_get_their_grace_and_no_more() -> None:
    """What ends in time ends by itself; the rest is cancelled, and waited for."""
    quick, seen = asyncio.Event(), list[str]()

    async def run(name: str, freed: asyncio.Event) -> None:
        try:
            await freed.wait()
            seen.append(f"{name} ended")
        except asyncio.CancelledError:
            seen.append(f"{name} cancelled")
            raise

    errands = Errands()
    errands.start(run("quick", quick))
    errands.start(run("slow", asyncio.Event()))
    quick.set()
    await errands.end(grace_s=0.05)
    assert seen == ["quick ended", "slow cancelled"]
    await errands.end(grace_s=0)


async def test_an_errand_that_fails_fails_alone() -> None:
    """Its neighbours run on, and who waits for it learns why."""
    freed = asyncio.Event()

    async def fail() -> None:
        raise KeyError("its own")

    async def wait() -> None:
        await freed.wait()

    errands = Errands()
    neighbour = errands.start(wait())
    failed = errands.start(fail())
    await asyncio.wait([failed])
    assert isinstance(failed.exception(), KeyError)
    assert not neighbour.done()
    freed.set()
    await neighbour


async def test_an_errand_may_end_the_others() -> None:
    """One that ends them all does not wait for itself."""
    errands = Errands()
    await errands.start(errands.end(grace_s=0))


async def test_whoever_is_cancelled_while_errands_end_leaves_none_running() -> None:
    """A second cancellation comes easily: of a call and of the server that it came to."""
    errands, others = Errands(), Errands()
    errand = errands.start(_forever())
    ending = others.start(errands.end(grace_s=60))
    await asyncio.to_thread(lambda: None)
    ending.cancel()
    await asyncio.wait([errand, ending], timeout=5)
    assert errand.cancelled()


async def _forever() -> None:
    await asyncio.Event().wait()
