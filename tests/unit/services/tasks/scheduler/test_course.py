"""What becomes of a schedule whatever time and fate do: from record to record."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.tasks.scheduler import course
from services.tasks.scheduler.course import Deed
from services.tasks.scheduler.plans import moment, pause_before
from tandem.tasks.v1 import agent_call_pb2 as call
from tandem.tasks.v1 import schedule_pb2 as pb
from tests.unit.services.tasks.scheduler.targets import plan

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD, HOLD = timedelta(seconds=60), timedelta(seconds=10)
DONE = call.AgentAnswer(response=b"")
PASSING = call.AgentAnswer(failure=call.CallFailure(code=14, may_retry=True))
LASTING = call.AgentAnswer(failure=call.CallFailure(code=9))
POLICIES = (pb.MISFIRE_POLICY_FIRE_ONCE, pb.MISFIRE_POLICY_SKIP, pb.MISFIRE_POLICY_CATCH_UP)


@dataclass
class World:
    """What is on disk, and which life of a scheduler makes which call."""

    record: pb.ScheduleRecord
    now: datetime = START
    life: int = 1
    calling: str = ""
    # Keys in the order of their calls, and due times with what became of them.
    called: list[str] = field(default_factory=list)
    over: list[pb.Firing] = field(default_factory=list)


class Course(RuleBasedStateMachine):
    """Calls end or never do, lives end at any point, and the clock is set forward and back."""

    @initialize(policy=st.sampled_from(POLICIES), catch_up=st.integers(1, 5))
    def begin(self, policy: pb.MisfirePolicy.ValueType, catch_up: int) -> None:
        misfire = pb.Misfire(policy=policy, catch_up_max=catch_up)
        made = plan(every_s=60, misfire=misfire)
        self.world = World(course.new_record("schedules/one", made, START))

    @rule(seconds=st.integers(1, 600))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(seconds=st.integers(-600, 600))
    def somebody_sets_the_clock(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule()
    def somebody_looks(self) -> None:
        world = self.world
        if world.calling:
            return
        deed = course.take_up(world.record, world.now, str(world.life), HOLD)
        self._note()
        if deed is Deed.CALL:
            world.calling = world.record.current.key
            world.called.append(world.calling)

    @rule(answer=st.sampled_from([DONE, PASSING, LASTING]))
    def the_call_ends(self, answer: call.AgentAnswer) -> None:
        world = self.world
        if world.calling:
            course.conclude(world.record, answer, world.now)
            world.calling = ""
            self._note()

    @rule()
    def the_scheduler_dies(self) -> None:
        """Its call may have happened or not; only the record is left."""
        self.world.life += 1
        self.world.calling = ""

    @rule()
    def it_is_paused_and_resumed(self) -> None:
        record = self.world.record
        # What comes while it is paused is not made up for; no time passes here.
        record.schedule.paused = True
        course.plan_wake(record)
        record.schedule.paused = False
        course.plan_wake(record)

    @invariant()
    def no_time_is_done_twice_or_lost(self) -> None:
        """Each multiple of the period up to the cursor is one firing's, or counted as given up by
        the one behind it.
        """
        world = self.world
        record = world.record
        current = [record.current] if record.HasField("current") else []
        at = START
        for one in [*world.over, *current]:
            given_up = one.missed - (one.outcome == pb.FIRING_OUTCOME_SKIPPED)
            at += PERIOD * (given_up + 1)
            assert moment(one.due_time) == at
        assert moment(record.cursor) == at

    @invariant()
    def somebody_will_look(self) -> None:
        """A schedule without an end always has a moment at which it is looked at next."""
        assert self.world.record.HasField("wake_time")

    @invariant()
    def calls_of_one_firing_have_one_key_and_follow_each_other(self) -> None:
        firsts = list(dict.fromkeys(self.world.called))
        assert sorted(firsts) == firsts
        assert sorted(self.world.called) == self.world.called

    def _note(self) -> None:
        world = self.world
        world.over += reversed(world.record.firings)
        course.trim(world.record, 0)


TestCourse = Course.TestCase
TestCourse.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


def fired(record: pb.ScheduleRecord, now: datetime) -> list[tuple[str, int]]:
    """The minutes that are fired at one moment, and what each gave up, if every call succeeds."""
    found = []
    while (deed := course.take_up(record, now, "life", HOLD)) is not Deed.NOTHING:
        if deed is Deed.CALL:
            current = record.current
            found.append((f"{moment(current.due_time):%M}", current.missed))
            course.conclude(record, DONE, now)
    return found


def test_of_missed_times_the_latest_is_made_up_for() -> None:
    """Unless the plan says otherwise; what is on time is fired as well."""
    now = START + 5 * PERIOD + timedelta(seconds=5)
    record = course.new_record("schedules/one", plan(every_s=60), START)
    assert fired(record, now) == [("04", 3), ("05", 0)]
    misfire = pb.Misfire(policy=pb.MISFIRE_POLICY_CATCH_UP, catch_up_max=3)
    record = course.new_record("schedules/one", plan(every_s=60, misfire=misfire), START)
    assert fired(record, now) == [("02", 1), ("03", 0), ("04", 0), ("05", 0)]
    misfire = pb.Misfire(policy=pb.MISFIRE_POLICY_SKIP)
    record = course.new_record("schedules/one", plan(every_s=60, misfire=misfire), START)
    assert fired(record, now) == [("05", 0)]
    (_, skipped) = record.firings
    assert (skipped.outcome, skipped.missed) == (pb.FIRING_OUTCOME_SKIPPED, 4)


def test_grace_is_what_the_plan_says() -> None:
    """A schedule that may be late by an hour fires each of its times."""
    misfire = pb.Misfire(policy=pb.MISFIRE_POLICY_SKIP)
    misfire.grace.FromTimedelta(timedelta(hours=1))
    record = course.new_record("schedules/one", plan(every_s=60, misfire=misfire), START)
    assert [one for one, _ in fired(record, START + 3 * PERIOD)] == ["01", "02", "03"]


def test_a_time_that_had_passed_when_the_plan_was_made_is_a_misfire() -> None:
    """It is fired once, late, or skipped, and then the schedule is over."""
    past = START - timedelta(hours=1)
    record = course.new_record("schedules/one", plan(at=past), START)
    assert fired(record, START) == [("00", 0)]
    assert not record.HasField("wake_time")
    misfire = pb.Misfire(policy=pb.MISFIRE_POLICY_SKIP)
    record = course.new_record("schedules/one", plan(at=past, misfire=misfire), START)
    assert fired(record, START) == []
    assert not record.HasField("wake_time")


def test_a_call_that_may_be_made_once_is_not_made_again() -> None:
    """Its scheduler died, so nobody knows: the firing says so, and the next time comes."""
    record = course.new_record("schedules/one", plan(every_s=60, at_most_once=True), START)
    now = START + PERIOD
    assert course.take_up(record, now, "one", HOLD) is Deed.CALL
    assert course.take_up(record, now + HOLD / 2, "two", HOLD) is Deed.NOTHING
    assert course.take_up(record, now + HOLD, "two", HOLD) is Deed.NOTE
    (firing,) = record.firings
    assert firing.outcome == pb.FIRING_OUTCOME_UNKNOWN
    assert moment(record.wake_time) == START + 2 * PERIOD
    assert course.take_up(record, START + 2 * PERIOD, "two", HOLD) is Deed.CALL
    course.conclude(record, PASSING, now)
    assert record.firings[0].outcome == pb.FIRING_OUTCOME_FAILED


def test_a_callee_that_asks_for_a_longer_pause_gets_it() -> None:
    """Else the pauses double, up to a limit; and the attempts have an end."""
    record = course.new_record("schedules/one", plan(every_s=60), START)
    now = START + PERIOD
    answer = call.AgentAnswer()
    answer.CopyFrom(PASSING)
    answer.failure.retry_after.FromTimedelta(timedelta(seconds=30))
    course.take_up(record, now, "one", HOLD)
    course.conclude(record, answer, now)
    assert moment(record.wake_time) == now + timedelta(seconds=30)


@given(st.integers(1, 19))
def test_pauses_double_up_to_their_limit(attempts: int) -> None:
    """Of 1 s and a minute, unless the plan says otherwise."""
    said = pb.FiringRetry(attempts_max=20)
    assert pause_before(said, attempts) == timedelta(seconds=min(60, 2 ** (attempts - 1)))
    assert pause_before(said, 20) is None
    assert pause_before(pb.FiringRetry(), 3) is None
