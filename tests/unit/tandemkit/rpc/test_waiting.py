from __future__ import annotations

import asyncio
import math

from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc.priority import Priority
from tandemkit.rpc.waiting import WAIT_ALONE_S_MAX, WAIT_S_MAX, Queue, Ticket

COST_S = 0.01
CLASSES = st.sampled_from(list(Priority))


def ticket(priority: Priority, came_s: float = 0.0, left_s: float = math.inf) -> Ticket:
    """A call, on a loop that nobody runs."""
    return Ticket(priority, came_s, left_s, asyncio.Future(loop=_LOOP))


_LOOP = asyncio.new_event_loop()


@given(coming=st.lists(st.tuples(CLASSES, st.floats(0.0, 1.0)), max_size=60))
def test_nobody_is_refused_in_favour_of_a_greater_class(
    coming: list[tuple[Priority, float]],
) -> None:
    """Whoever is refused leaves nobody of a greater class waiting, but for want of time."""
    queue, waiting = Queue(size_max=8), list[Ticket]()
    for priority, left_s in coming:
        one = ticket(priority, left_s=left_s)
        refused = queue.put(one, COST_S)
        waiting = [*(each for each in waiting if each is not refused), one]
        if refused is one:
            waiting.remove(one)
            waits_s = queue.wait_s(priority, COST_S)
            in_time = waits_s + COST_S <= left_s and waits_s <= WAIT_S_MAX[priority]
            assert not (in_time and any(each.priority > priority for each in waiting))
        assert len(queue) == len(waiting) <= 8


@given(coming=st.lists(CLASSES, max_size=40))
def test_turns_go_by_class_and_then_by_coming(coming: list[Priority]) -> None:
    """The lesser class first, and each in the order in which it came."""
    queue = Queue()
    let_in = [one for one in map(ticket, coming) if queue.put(one, 0.0) is not one]
    taken = [queue.take() for _ in let_in]
    assert taken == sorted(let_in, key=lambda one: one.priority)
    assert queue.take() is None


@given(priority=CLASSES, ahead=st.integers(0, 200))
def test_who_would_wait_for_too_long_is_refused_at_once(priority: Priority, ahead: int) -> None:
    """A class has its bound, where interactive calls are ahead; an interactive call has none."""
    queue = Queue()
    for _ in range(ahead):
        queue.put(ticket(Priority.INTERACTIVE), COST_S)
    one = ticket(priority)
    assert (queue.put(one, COST_S) is one) == (ahead * COST_S > WAIT_S_MAX[priority])


def test_a_call_that_cannot_be_in_time_is_refused_at_once() -> None:
    """Of any class: nothing is spent on what its caller will not wait for."""
    queue = Queue()
    for _ in range(5):
        queue.put(ticket(Priority.INTERACTIVE), COST_S)
    late, soon = (ticket(Priority.INTERACTIVE, left_s=left_s) for left_s in (0.055, 0.065))
    assert queue.put(late, COST_S) is late
    assert queue.put(soon, COST_S) is None


def test_batch_calls_alone_wait_for_each_other() -> None:
    """In nobody's way they are patient: a burst of them is worked off."""
    queue = Queue()
    burst = [ticket(Priority.BATCH) for _ in range(round(WAIT_ALONE_S_MAX / COST_S))]
    assert not any(queue.put(one, COST_S) for one in burst)
    queue.put(ticket(Priority.STANDARD), COST_S)
    another = ticket(Priority.BATCH)
    assert queue.put(another, COST_S) is another


def test_whom_others_passed_for_too_long_is_refused_after_all() -> None:
    """Its caller is told while the answer is still of use."""
    queue, one = Queue(), ticket(Priority.STANDARD, came_s=10.0)
    queue.put(one, COST_S)
    patience_s = 2 * WAIT_S_MAX[Priority.STANDARD]
    assert queue.expired(10.0 + patience_s - 0.001) == []
    assert queue.expired(10.0 + patience_s + 0.001) == [one]
    assert not len(queue)
