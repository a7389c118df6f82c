from __future__ import annotations

import pytest
from google.protobuf.message import Message

from tandem.fleet.v1 import stanza_pb2
from tandemkit.fleet.stanzas import Fleet, Kinds
from tandemkit.testing import probe

STANZA = """\
agents:
  - name: probe-probe
    service: tandem.probe.v1.ProbeService
    replicas: 2
    settings:
      text: hello
"""


def settings_of(service: str) -> Message | None:
    if service == "tandem.probe.v1.BareService":
        return None
    if service != probe.SERVICE:
        raise LookupError(f"no agent declares `{service}`")
    message: Message = probe.ProbeRequest()
    return message


def read(*texts: str) -> Fleet:
    files = {f"{number}.yaml": text for number, text in enumerate(texts)}
    return Fleet.read(files, Kinds(stanza_pb2.Family, settings_of))


def test_a_stanza_becomes_typed_messages() -> None:
    """Its own fields, and settings of the agent's type."""
    fleet = read(STANZA)
    (stanza,) = fleet.stanzas
    assert fleet.mistakes == []
    assert (stanza.fields.name, stanza.fields.replicas) == ("probe-probe", 2)
    assert stanza.settings == probe.ProbeRequest(text="hello")


def test_settings_may_be_left_out() -> None:
    """The agent then has its defaults."""
    (stanza,) = read(STANZA[: STANZA.index("    settings")]).stanzas
    assert stanza.settings == probe.ProbeRequest()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("probe.v1.Probe", "probe.v1.Nobody", "0.yaml:3:14: no agent declares"),
        ("probe.v1.Probe", "probe.v1.Bare", "0.yaml:6:7: tandem.probe.v1.BareService declares no"),
        ("text: hello", "- hello", "0.yaml:6:7: `settings` is a mapping"),
        ("text: hello", "txet: hello", "0.yaml:6:7: tandem.probe.v1.ProbeRequest has no field"),
        ("text: hello", f"text: {'x' * 1001}", "0.yaml:6:13: `text`: must be at most 1000"),
        ("replicas: 2", "replicas: 65", "0.yaml:4:15: `agents[0].replicas`: must be"),
        ("name: probe-probe", "name: other-name", "0.yaml:2:11: `other-name` is no instance of"),
        (STANZA, "agents: 5", "0.yaml:1:9: `agents`"),
        (STANZA, "", "0.yaml:1:1: a mapping of fields is needed here"),
    ],
)
def test_a_mistake_names_file_line_and_column(before: str, after: str, said: str) -> None:
    """And nothing stops the rest of the file from being read."""
    assert any(str(one).startswith(said) for one in read(STANZA.replace(before, after)).mistakes)


def test_a_name_runs_once_in_the_whole_fleet() -> None:
    """Also when the second one stands in another file."""
    (mistake,) = read(STANZA, STANZA).mistakes
    assert str(mistake) == "1.yaml:2:11: `probe-probe` runs already, by 0.yaml"
