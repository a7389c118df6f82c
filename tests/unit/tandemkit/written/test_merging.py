"""Anchors, aliases and merge keys of YAML, as operators use them to say a thing once."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from tandem.fleet.v1 import stanza_pb2
from tandem.fleet.v1.stanza_pb2 import Stanza
from tandemkit.fleet.stanzas import Fleet, Kinds
from tandemkit.testing import probe

_NAMED = f"name: probe-probe, service: {probe.SERVICE}"


def read(text: str) -> Fleet:
    def settings(_service: str) -> Message:
        message: Message = probe.ProbeRequest()
        return message

    return Fleet.read({"a.yaml": text}, Kinds(stanza_pb2.Family, settings))


def stanzas(text: str) -> list[Stanza]:
    fleet = read(text)
    assert fleet.mistakes == []
    return [one.fields for one in fleet.stanzas]


def test_a_stanza_merges_another_and_says_what_differs() -> None:
    """Its own words count before those that it merges."""
    first, second = stanzas(
        f"""\
agents:
  - &first {{{_NAMED}, replicas: 2, memory_mib: 9}}
  - <<: *first
    name: probe-probe-nightly
    memory_mib: 7
"""
    )
    assert (first.name, first.replicas, first.memory_mib) == ("probe-probe", 2, 9)
    assert (second.name, second.replicas, second.memory_mib) == ("probe-probe-nightly", 2, 7)


def test_of_several_merged_mappings_the_first_counts() -> None:
    """As YAML's merge key has it."""
    text = f"agents: [{{<<: [{{{_NAMED}, replicas: 3}}, {{replicas: 4, memory_mib: 5}}]}}]"
    (one,) = stanzas(text)
    assert (one.replicas, one.memory_mib) == (3, 5)


def test_settings_may_be_an_alias() -> None:
    """Said once for two instances."""
    text = f"""\
agents:
  - {{{_NAMED}, settings: &said {{text: hello}}}}
  - {{name: probe-probe-b, service: {probe.SERVICE}, settings: *said}}
"""
    assert [one.settings for one in read(text).stanzas] == [probe.ProbeRequest(text="hello")] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: [{<<: 5}]", "a.yaml:1:15: `<<` merges mappings, and this is none"),
        ("agents: [&a {<<: *a}]", "a.yaml:1:10: a mapping merges itself"),
        ("agents: [*nobody]", "a.yaml:1:10: found undefined alias 'nobody'"),
        (
            f"agents:\n  - {{{_NAMED}, replicas: 1, replicas: 2}}",
            "a.yaml:2:77: `agents[0].replicas` stands here twice; line 2 has it already",
        ),
        (
            f"agents:\n  - {{{_NAMED}, memory_mb: 3}}",
            (
                "a.yaml:2:64: tandem.fleet.v1.Stanza has no field `memory_mb`; did you mean "
                "`memory_mib`?"
            ),
        ),
        (
            f"agents:\n  - &a {{{_NAMED}, <<: {{replica: 2}}}}",
            "a.yaml:2:72: tandem.fleet.v1.Stanza has no field `replica`; did you mean `replicas`?",
        ),
        (
            f"agents:\n  - {{{_NAMED}, priority: urgent}}",
            (
                "a.yaml:2:74: `agents[0].priority`: there is no `urgent`; there is critical, "
                "essential, standard"
            ),
        ),
    ],
)
def test_what_yaml_allows_and_we_do_not_is_told_with_its_place(text: str, said: str) -> None:
    """Also where the words stand in a mapping that is merged."""
    assert said in [str(one) for one in read(text).mistakes]


def test_a_mapping_that_holds_itself_ends() -> None:
    """An anchor may stand in what it names; reading it is no endless journey."""
    assert read("agents: &a [{settings: *a}]").mistakes
    assert read("&a {agents: [*a]}").mistakes
