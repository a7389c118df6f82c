"""Who gets which value of a flag."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandemkit.hosting.flag_resolving import ALL, context_of, place, resolved

OPERATOR = nouns.FlagOperator.Value


def flag(*rules: nouns.FlagRule, **more: Any) -> nouns.Flag:
    """Of texts `red`, `green` and `blue`; red, unless a rule holds."""
    variants = [
        nouns.FlagVariant(name=name, value=nouns.FlagValue(text=name))
        for name in ("red", "green", "blue")
    ]
    said = {"enabled": True, **more}
    return nouns.Flag(key="k", default_variant="red", variants=variants, rules=rules, **said)


def rule(*conditions: nouns.FlagCondition, **serve: Any) -> nouns.FlagRule:
    return nouns.FlagRule(name="r", conditions=conditions, **(serve or {"variant": "green"}))


def condition(name: str, operator: str, *operands: str, negated: bool = False) -> Any:
    value = OPERATOR(f"FLAG_OPERATOR_{operator}")
    return nouns.FlagCondition(attribute=name, operator=value, operands=operands, negated=negated)


def shares(**parts: int) -> nouns.FlagRollout:
    return nouns.FlagRollout(
        shares=[nouns.FlagShare(variant=one, millipercent=much) for one, much in parts.items()]
    )


@pytest.mark.parametrize(
    ("asked", "about", "holds"),
    [
        (condition("country", "ONE_OF", "nl", "be"), {"country": "be"}, True),
        (condition("country", "ONE_OF", "nl", "be"), {"country": "de"}, False),
        (condition("country", "ONE_OF", "nl"), {}, False),
        (condition("country", "ONE_OF", "nl", negated=True), {}, True),
        (condition("agent", "BEGINS_WITH", "memory-"), {"agent": "memory-cache"}, True),
        (condition("agent", "ENDS_WITH", "-cache"), {"agent": "memory-cache"}, True),
        (condition("agent", "CONTAINS", "ory-c"), {"agent": "memory-cache"}, True),
        (condition("agent", "MATCHES", "mem.*"), {"agent": "memory-cache"}, True),
        (condition("agent", "MATCHES", "mem"), {"agent": "memory-cache"}, False),
        (condition("age", "ABOVE", "17"), {"age": 18}, True),
        (condition("age", "BELOW", "17.5"), {"age": 17.25}, True),
        (condition("age", "ABOVE", "17"), {"age": "many"}, False),
        (condition("age", "ONE_OF", "18"), {"age": 18.0}, True),
        (condition("beta", "ONE_OF", "true"), {"beta": True}, True),
        (condition("beta", "PRESENT"), {"beta": False}, True),
        (condition("beta", "PRESENT"), {}, False),
        (condition("beta", "PRESENT", negated=True), {}, True),
        (condition("targeting_key", "ONE_OF", "ana"), {"targeting_key": "ana"}, False),
    ],
)
def test_a_condition_compares_what_is_known(
    asked: nouns.FlagCondition, about: dict[str, object], holds: bool
) -> None:
    """What is not known meets nothing, and nobody names himself the targeting key."""
    found = resolved(flag(rule(asked)), context_of("", about))
    assert found.variant == ("green" if holds else "red")
    wanted = nouns.FLAG_REASON_TARGETING_MATCH if holds else nouns.FLAG_REASON_DEFAULT
    assert found.reason == wanted


def test_all_conditions_have_to_hold_and_the_first_rule_decides() -> None:
    """In the order in which they were written."""
    both = rule(condition("a", "PRESENT"), condition("b", "PRESENT"), variant="blue")
    either = rule(condition("a", "PRESENT"))
    assert resolved(flag(both, either), context_of("", {"a": 1})).variant == "green"
    assert resolved(flag(both, either), context_of("", {"a": 1, "b": 1})).variant == "blue"


def test_a_flag_that_is_off_gives_its_off_variant_or_nothing() -> None:
    """Nothing: the caller's own default holds."""
    off = resolved(flag(rule(), enabled=False, off_variant="blue"), context_of("ana", {}))
    assert (off.variant, off.reason) == ("blue", nouns.FLAG_REASON_DISABLED)
    assert not resolved(flag(enabled=False), context_of("ana", {})).HasField("value")


def test_places_are_those_of_the_contract() -> None:
    """Written down in the proto, so that other languages reckon the same."""
    digest = hashlib.sha256(b"salt/ana").digest()
    assert place("salt", "ana") == int.from_bytes(digest[:8], "big") % 100_000
    assert [place("k", who) for who in ("ana", "ben", "eva")] == [
        int(hashlib.sha256(f"k/{who}".encode()).hexdigest()[:16], 16) % ALL
        for who in ("ana", "ben", "eva")
    ]


def test_a_rollout_gives_each_share_as_many_as_it_says() -> None:
    """Of 20,000 callers a tenth and a half, within what chance makes of it (five sigma)."""
    split = flag(rule(rollout=shares(green=10_000, blue=50_000)))
    found = [resolved(split, context_of(f"user-{n}", {})).variant for n in range(20_000)]
    assert abs(found.count("green") - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5
    assert abs(found.count("blue") - 10_000) < 5 * (20_000 * 0.25) ** 0.5
    assert found.count("red") == 20_000 - found.count("green") - found.count("blue")


def test_who_has_no_key_is_in_no_share() -> None:
    """Even of a rollout to everybody: nobody in particular would be somebody else each time."""
    everybody = flag(rule(rollout=shares(green=ALL)))
    assert resolved(everybody, context_of("", {})).variant == "red"
    assert resolved(everybody, context_of("ana", {})).reason == nouns.FLAG_REASON_SPLIT


def test_a_rollout_can_go_by_another_attribute() -> None:
    """All of a tenant's users see the same."""
    rollout = shares(green=50_000)
    rollout.attribute = "tenant"
    split = flag(rule(rollout=rollout))
    found = {
        resolved(split, context_of(who, {"tenant": "acme"})).variant
        for who in ("ana", "ben", "eva")
    }
    assert len(found) == 1


@given(st.text(min_size=1), st.integers(0, ALL), st.integers(0, ALL))
def test_a_share_that_grows_keeps_whom_it_has(who: str, one: int, other: int) -> None:
    """Nobody who saw the new thing loses it because more people see it."""
    few, many = sorted((one, other))
    context = context_of(who, {})
    if resolved(flag(rule(rollout=shares(green=few))), context).variant == "green":
        assert resolved(flag(rule(rollout=shares(green=many))), context).variant == "green"


def test_what_cannot_be_compared_is_no_attribute() -> None:
    """A list would silently meet nothing."""
    with pytest.raises(TypeError, match="no list: tags"):
        context_of("ana", {"tags": ["a"]})
