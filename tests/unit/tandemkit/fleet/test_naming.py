"""Variables in the files of a fleet, and the secrets that its stanzas declare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.fleet.v1 import plan_pb2 as pb
from tests.unit.tandemkit.fleet.planted import FLEET, LAYOUT, Planted, hosts

SUM_MEMORY = "memory_mib: 40"
PROFILE = "fleet/profiles/both.yaml"


def named(before: str, after: str, path: str = FLEET, **environment: str) -> Planted:
    return replace(Planted().changed(path, before, after), environment=environment)


def memory_of_sum(plan: pb.Plan) -> int:
    return next(
        one.memory_mib
        for host in hosts(plan).values()
        for one in host.agents
        if one.name == "text-sum"
    )


@pytest.mark.parametrize(
    ("written", "environment", "memory_mib", "value", "origin"),
    [
        ("${SUM_MIB}", {"SUM_MIB": "41"}, 41, "41", pb.VARIABLE_ORIGIN_ENVIRONMENT),
        ("${SUM_MIB:-42}", {}, 42, "", pb.VARIABLE_ORIGIN_DEFAULT),
        ("${SUM_MIB:-42}", {"SUM_MIB": ""}, 42, "", pb.VARIABLE_ORIGIN_DEFAULT),
        ("${SUM_MIB:-42}", {"SUM_MIB": "43"}, 43, "43", pb.VARIABLE_ORIGIN_ENVIRONMENT),
    ],
)
def test_a_value_of_a_file_may_be_a_variable(
    written: str,
    environment: dict[str, str],
    memory_mib: int,
    value: str,
    origin: pb.VariableOrigin.ValueType,
) -> None:
    """Of any type; the plan says which were used, from where, and where they stand."""
    plan = named(SUM_MEMORY, f"memory_mib: {written}", **environment).plan()
    assert memory_of_sum(plan) == memory_mib
    (used,) = plan.variables
    assert (used.name, used.value, used.origin) == ("SUM_MIB", value, origin)
    assert used.places == ["fleet/text.yaml:11:17"]


def test_all_that_is_missing_is_told_with_its_place() -> None:
    """At once, with what to do: nothing starts on half of a file."""
    planted = named(SUM_MEMORY, "memory_mib: ${SUM_MIB}").changed(
        f"{LAYOUT}/machines.yaml", "address: small", "address: ${SMALL_ADDRESS}"
    )
    said = planted.said()
    assert said[0].startswith(
        "fleet/layout/machines.yaml:11:14: `${SMALL_ADDRESS}` stands for nothing: export "
    )
    assert any(one.startswith("fleet/text.yaml:11:17: `${SUM_MIB}` stands") for one in said)


def test_a_lenient_profile_takes_what_is_missing_for_empty() -> None:
    """And remarks on it: the field has its default."""
    planted = named(SUM_MEMORY, "memory_mib: ${SUM_MIB}").changed(
        PROFILE, "name: both", "name: both\nlenient: true"
    )
    plan = planted.plan()
    assert memory_of_sum(plan) == 8
    assert "fleet/text.yaml:11:17: `${SUM_MIB}` stands for nothing and is taken for empty" in list(
        plan.remarks
    )
    assert plan.variables[0].origin == pb.VARIABLE_ORIGIN_MISSING


def test_what_the_profile_does_not_run_may_be_missing() -> None:
    """Of another profile's file, and of a stanza that has no host in this one."""
    planted = named(SUM_MEMORY, SUM_MEMORY).changed(
        "fleet/profiles/alone.yaml", "replicas_max: 1", "replicas_max: ${ALONE_MAX}"
    )
    planted = planted.changed(FLEET, "gpu_percent: 30", "gpu_percent: ${DRAW_GPU}")
    assert "DRAW_GPU" in "\n".join(planted.said("both"))
    assert "ALONE_MAX" not in "\n".join(planted.said("both"))
    assert "DRAW_GPU" not in "\n".join(planted.said("alone"))
    assert "ALONE_MAX" in "\n".join(planted.said("alone"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUM_PIN", "12345678"),
        ("OPENAI_API_KEY", "sk-12345678"),
        ("GITHUB_TOKEN", "ghp-12345678"),
        ("SUM_URL", "https://ada:12345678@host/"),
    ],
)
def test_a_secret_is_no_variable(name: str, value: str) -> None:
    """Declared as one, called like one, or with a password in it: all may read a plan."""
    planted = named(SUM_MEMORY, f"memory_mib: ${{{name}}}\n    secrets: [sum_pin]", **{name: value})
    said = "\n".join(planted.said())
    assert "fleet/text.yaml:11:17: `" + name in said
    assert "everybody reads" in said
    assert "12345678" not in said


def test_the_plan_names_secrets_and_holds_none() -> None:
    """So what an agent needs is part of what its host is compared by, and a value never is."""
    planted = named(
        SUM_MEMORY,
        "secrets: [api_key]\n    optional_secrets: [spare_key]",
        API_KEY="sk-12345678",
    ).changed(PROFILE, "groups:", "secrets: {folders: [/run/keys]}\ngroups:")
    plan = planted.plan()
    found = [one for one in hosts(plan)["text"].agents if one.name == "text-sum"]
    assert list(found[0].secrets) == ["api_key"]
    assert list(found[0].optional_secrets) == ["spare_key"]
    assert list(plan.secret_sources.folders) == ["/run/keys"]
    assert "12345678" not in str(plan)


def test_a_badly_named_secret_is_a_mistake() -> None:
    """Its variable and its file are called after it."""
    said = Planted().changed(FLEET, SUM_MEMORY, "secrets: [API-KEY]").said()
    assert said[0].startswith("fleet/text.yaml:11:15: `agents[2].secrets[0]`")
