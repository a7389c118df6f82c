"""A workflow's course over any graph, with calls that fail and orchestrators that die."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.tasks.workflow import course, undoing
from services.tasks.workflow.graph import needs
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import workflow_pb2 as pb
from tests.unit.services.tasks.workflow.toolbox import node, undone

_START = datetime(2026, 1, 1, tzinfo=UTC)
_PASSES = calls.AgentAnswer(response=b"")
_DONE = {pb.NODE_STATE_DONE, pb.NODE_STATE_COMPENSATING, pb.NODE_STATE_COMPENSATED}


def _refuses(*, may_retry: bool) -> calls.AgentAnswer:
    failed = calls.CallFailure(code=code_pb2.UNAVAILABLE, message="no", may_retry=may_retry)
    return calls.AgentAnswer(failure=failed)


@st.composite
def plans(draw: st.DrawFn) -> pb.WorkflowPlan:
    """Up to eight nodes, each behind some of those before it."""
    nodes: list[pb.WorkflowNode] = []
    for number in range(draw(st.integers(1, 8))):
        names = [one.id for one in nodes]
        after = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
        make = draw(st.sampled_from([node, undone]))
        more = {"optional": draw(st.booleans()), "at_most_once": draw(st.booleans())}
        nodes.append(make(f"n{number}", *after, **more))
    return pb.WorkflowPlan(nodes=nodes, parallel_max=draw(st.integers(1, 3)))


class _World:
    """Callees and a disk: what it sees of the calls."""

    def __init__(self, plan: pb.WorkflowPlan) -> None:
        self.workflow = course.begun("workflows/w", plan, _START)
        self.now = _START
        # Keys of calls under way, by node.
        self.calls: dict[str, str] = {}
        self.happened: list[str] = []

    def turn(self) -> None:
        course.settle(self.workflow, self.now)
        for one in list(course.due(self.workflow, self.now)):
            course.begin(self.workflow, one, self.now)
            back = one.state == pb.NODE_STATE_COMPENSATING
            self.calls[one.id] = undoing.key_of(one.key) if back else one.key
        assert len(self.calls) <= self.workflow.plan.parallel_max

    def answer(self, name: str, answer: calls.AgentAnswer) -> None:
        key = self.calls.pop(name)
        if not answer.HasField("failure"):
            self.happened.append(key)
        standing = next(one for one in self.workflow.nodes if one.id == name)
        course.conclude(self.workflow, standing, answer, self.now)

    def die(self) -> None:
        """Calls under way happen, and nobody hears of it."""
        self.happened += self.calls.values()
        self.calls.clear()
        course.resume(self.workflow)


@given(plans(), st.data())
def test_m007_every_course_ends_and_leaves_nothing_half_done(
    plan: pb.WorkflowPlan, data: st.DataObject
) -> None:
    """Whatever fails or dies: it ends; a node is called only behind what it needs; where it
    succeeds all that is not optional is done, and where it fails all that happened and has a way
    back is taken back, each behind those that needed it.
    """
    world = _World(plan)
    deaths = 0
    for _ in range(400):
        world.turn()
        if course.has_ended(world.workflow):
            break
        deaths += _event(world, data, may_die=deaths < 5)
    assert course.has_ended(world.workflow)
    _check_order(world)
    _check_end(world)


def _event(world: _World, data: st.DataObject, *, may_die: bool) -> bool:
    if not world.calls:
        world.now += timedelta(minutes=1)
        return False
    if may_die and data.draw(st.integers(0, 5)) == 0:
        world.die()
        return True
    name = data.draw(st.sampled_from(sorted(world.calls)))
    outcomes = [_PASSES, _PASSES, _refuses(may_retry=True), _refuses(may_retry=False)]
    world.answer(name, data.draw(st.sampled_from(outcomes)))
    return False


def _check_order(world: _World) -> None:
    first = {key: world.happened.index(key) for key in world.happened}
    for one in world.workflow.plan.nodes:
        for other in needs(one):
            mine, its = first.get(f"w--{one.id}"), first.get(f"w--{other}")
            assert mine is None or (its is not None and its < mine)
            back, its_back = first.get(f"w--{one.id}--undo"), first.get(f"w--{other}--undo")
            if its_back is not None and back is not None:
                assert back < its_back


def _check_end(world: _World) -> None:
    found = {one.id: one.state for one in world.workflow.nodes}
    for one in world.workflow.plan.nodes:
        state = found[one.id]
        if world.workflow.state == pb.WORKFLOW_STATE_SUCCEEDED:
            assert f"w--{one.id}--undo" not in world.happened
            lost = {pb.NODE_STATE_FAILED, pb.NODE_STATE_UNKNOWN}
            assert one.optional or state not in lost
        elif world.workflow.state == pb.WORKFLOW_STATE_FAILED and one.HasField("compensation"):
            assert (f"w--{one.id}" in world.happened) <= (state in _TAKEN_BACK)


_TAKEN_BACK = {pb.NODE_STATE_COMPENSATED, pb.NODE_STATE_FAILED}


def test_m007_a_call_whose_end_is_unclear_is_taken_back_also_where_the_rest_gave_up_before() -> (
    None
):
    """It was under way when another node failed; nobody makes it again, and it may have
    happened.
    """
    for ends in ("unheard", "dead"):
        world = _World(pb.WorkflowPlan(nodes=[node("a"), undone("b")], parallel_max=2))
        world.turn()
        world.answer("a", _refuses(may_retry=False))
        world.turn()
        if ends == "dead":
            world.die()
        else:
            world.answer("b", _refuses(may_retry=True))
        world.turn()
        assert world.calls == {"b": "w--b--undo"}, ends


def test_no_two_calls_have_one_key() -> None:
    """Also of nodes and workflows whose names continue each other; and every callee takes it."""
    plan = pb.WorkflowPlan(nodes=[undone("c"), undone("c-undo"), undone("b-c")])
    keys = []
    for name in ("a", "a-b"):
        for one in course.begun(f"workflows/{name}", plan, _START).nodes:
            keys += [one.key, undoing.key_of(one.key)]
    assert len(set(keys)) == len(keys)
    longest = course.begun(f"workflows/{'w' * 30}", pb.WorkflowPlan(nodes=[node("n" * 24)]), _START)
    assert len(undoing.key_of(longest.nodes[0].key)) <= 63


def test_a_call_that_may_be_made_once_is_taken_back_where_its_end_is_not_heard() -> None:
    """Its callee does not bear a repetition, which says nothing of whether it happened."""
    world = _World(pb.WorkflowPlan(nodes=[undone("a", at_most_once=True)], parallel_max=1))
    world.turn()
    world.answer("a", _refuses(may_retry=False))
    world.turn()
    assert world.calls == {"a": "w--a--undo"}
