"""Rights in namespaces, against a model that is too simple to be wrong."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.memory.v1 import namespace_pb2 as nouns
from tandemkit.core.caller_key import CallerKey
from tandemkit.hosting.access import Right, Rules, check, check_fleet, check_named

_WHO = ["operator", "agents/memory-client", "agents/tasks-job", "callers/ada", "callers/adam", "x"]
_PATTERNS = ["agents/*", "callers/*", "callers/ada", "*", "agents/tasks-job", "*a*"]
_NAMES = ["default", "team-a", "team-b", "never-ruled"]
_RULE = st.builds(
    nouns.AccessRule,
    callers=st.lists(st.sampled_from(_PATTERNS), min_size=1, max_size=3),
    right=st.sampled_from([nouns.RIGHT_READ, nouns.RIGHT_WRITE, nouns.RIGHT_OWN]),
)
_RULES = st.lists(_RULE, max_size=3)


@given(own=st.dictionaries(st.sampled_from(_NAMES[:3]), _RULES), unruled=_RULES, data=st.data())
def test_nobody_has_a_right_that_no_rule_gives(
    own: dict[str, list[nouns.AccessRule]], unruled: list[nouns.AccessRule], data: st.DataObject
) -> None:
    """And everybody has the highest that one does."""
    record = nouns.AccessRecord(unruled=unruled)
    for name, rules in own.items():
        record.namespaces.add(name=f"namespaces/{name}", rules=rules)
    found = Rules(record)
    for _ in range(8):
        who, name = data.draw(st.sampled_from(_WHO)), data.draw(st.sampled_from(_NAMES))
        assert found.right(who, name) == _modelled(own, unruled, who, name)


def _modelled(
    own: dict[str, list[nouns.AccessRule]], unruled: list[nouns.AccessRule], who: str, name: str
) -> int:
    if who in {"operator", "agents/memory-client"}:
        return Right.OWN
    rules = own.get(name, unruled)
    if name not in own and not unruled:
        return Right.WRITE if who.startswith("agents/") else Right.NONE
    highest = 0
    for rule in rules:
        for pattern in rule.callers:
            if fnmatchcase(who, pattern):
                highest = max(highest, int(rule.right))
    return highest


@given(
    who=st.text("ab/", max_size=8).map("callers/".__add__),
    pattern=st.text("abc/*", min_size=1, max_size=8),
)
def test_a_star_stands_for_any_number_of_characters(who: str, pattern: str) -> None:
    """Anywhere, and also for none."""
    record = nouns.AccessRecord()
    record.unruled.add(callers=[pattern], right=nouns.RIGHT_READ)
    assert (Rules(record).right(who, "a") == Right.READ) == fnmatchcase(who, pattern)


def test_a_rule_with_many_stars_is_read_at_once() -> None:
    """Every host reads it on its loop, and its writer owns no more than one namespace."""
    record = nouns.AccessRecord()
    record.unruled.add(callers=["*a" * 30 + "*b"], right=nouns.RIGHT_READ)
    began_s = time.thread_time()
    assert Rules(record).right(f"callers/{'a' * 63}", "a") == Right.NONE
    assert time.thread_time() - began_s < 1


def test_a_revoked_name_gets_in_with_a_later_key() -> None:
    """Keys from before are refused, of that name alone."""
    record = nouns.AccessRecord()
    record.revoked.add(caller="callers/ada").before_time.seconds = 1000
    rules = Rules(record)
    assert "revoked" in rules.refuses(CallerKey("ada", 999, 5000))
    assert rules.refuses(CallerKey("ada", 1000, 5000)) == ""
    assert rules.refuses(CallerKey("adam", 1, 5000)) == ""


def test_outside_of_a_call_the_process_asks_for_itself() -> None:
    """It holds the token; the namespace is told by its name, also the one that goes unsaid."""
    assert check("", Right.OWN) == "default"
    assert check_named("namespaces/team-a/memories/one", Right.OWN) == "team-a"
    check_fleet()


@pytest.mark.parametrize("name", ["memories/one", "", "namespaces", "namespaces//memories/one"])
def test_a_name_of_no_namespace_is_of_one_that_there_cannot_be(name: str) -> None:
    """So no rule gives a right to it."""
    assert check_named(name, Right.READ) == "-"
