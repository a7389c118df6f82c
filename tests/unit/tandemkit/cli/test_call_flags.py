"""Requests from flags: every kind of field, and what is said of a flag that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo

from tandem.control.v1.fleet_status_service_pb2 import FleetInstance, Treatment
from tandem.control.v1.traffic_policy_pb2 import InjectedFault, TrafficPolicy
from tandem.platform.v1.event_store_service_pb2 import Event, EventHead
from tandemkit.cli.call_flags import fill, flags_of
from tandemkit.cli.output import Refusal


def made(kind: Any, *words: str, told: dict[str, Any] | None = None) -> Message:
    start = told or {}
    fill(start, words, kind.DESCRIPTOR)
    request: Message = ParseDict(start, kind())
    return request


def refused(kind: type[Message], *words: str) -> str:
    with pytest.raises(Refusal) as caught:
        made(kind, *words)
    return caught.value.message


def test_a_flag_is_a_field_and_a_dot_goes_into_it() -> None:
    """Words of a name may be parted by hyphens, and a value may follow an equals sign."""
    words = ("--client-calls-max=5", "--drained_hosts", "hosts/a", "--drained-hosts", "hosts/b")
    assert made(TrafficPolicy, *words) == TrafficPolicy(
        client_calls_max=5, drained_hosts=["hosts/a", "hosts/b"]
    )
    assert MessageToDict(made(Event, "--content.schema", "a.B", "--version", "-3")) == {
        "content": {"schema": "a.B"},
        "version": "-3",
    }


def test_repeated_messages_are_counted_from_zero() -> None:
    """Each by its index, or whole as JSON."""
    words = "--services.0.service a --services.0.shares.0.version v1"
    words += ' --services.0.shares.1.version v2 --services {"service":"b"}'
    told = MessageToDict(made(TrafficPolicy, *words.split()))
    assert told == {
        "services": [
            {"service": "a", "shares": [{"version": "v1"}, {"version": "v2"}]},
            {"service": "b"},
        ]
    }
    assert "count from 0" in refused(TrafficPolicy, "--services.1.service", "a")


def test_maps_take_their_key_behind_the_dot() -> None:
    """One flag an entry."""
    words = ("--metadata.color", "red", "--metadata.size", "9", "--reason", "X")
    assert made(ErrorInfo, *words) == ErrorInfo(reason="X", metadata={"color": "red", "size": "9"})


@pytest.mark.parametrize("name", ["damped", "KIND_DAMPED", "Damped", "1"])
def test_an_enum_is_named_as_people_name_it(name: str) -> None:
    """In any case, with or without the enum's own name, or by number."""
    assert made(Treatment, "--kind", name) == Treatment(kind=Treatment.KIND_DAMPED)


def test_a_bool_needs_no_value() -> None:
    """It is true, `no-` makes it false, and a value may be said all the same."""
    assert made(FleetInstance, "--serving", "--version", "v1") == FleetInstance(
        serving=True, version="v1"
    )
    assert made(FleetInstance, "--serving", "no") == FleetInstance()
    assert made(FleetInstance, "--no-serving", told={"serving": True}) == FleetInstance()


def test_times_are_written_as_people_write_them() -> None:
    """A duration with its unit, a moment in ISO 8601, in UTC unless it says otherwise."""
    fault = made(InjectedFault, "--delay", "1m1.5s", "--percent", "2.5")
    assert MessageToDict(fault) == {"delay": "61.500s", "percent": 2.5}
    for text in ("2026-11-21T20:00:00Z", "2026-11-21 20:00", "2026-11-21T21:00:00+01:00"):
        told = MessageToDict(made(Event, "--record-time", text))
        assert told == {"recordTime": "2026-11-21T20:00:00Z"}
    assert made(Event, "--record-time", "now-1h") != Event()


def test_bytes_are_text_or_a_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    (tmp_path / "digest").write_bytes(b"\x00\xff")
    assert made(EventHead, "--digest", "hi") == EventHead(digest=b"hi")
    assert made(EventHead, "--digest", f"@{tmp_path}/digest") == EventHead(digest=b"\x00\xff")
    assert "No such file" in refused(EventHead, "--digest", f"@{tmp_path}/nothing")


def test_a_wrapped_value_is_a_value() -> None:
    """Whether a field is wrapped to tell unset from zero is nobody's business at a prompt."""
    assert MessageToDict(made(RetryPolicy, "--num-retries", "0")) == {"numRetries": 0}


def test_flags_change_what_json_said() -> None:
    """However the JSON spells its names."""
    told = {"clientCallsMax": 1, "services": [{"service": "a"}]}
    words = ("--client-calls-max", "2", "--services.0.concurrent-calls-max", "3")
    assert MessageToDict(made(TrafficPolicy, *words, told=told)) == {
        "clientCallsMax": 2,
        "services": [{"service": "a", "concurrentCallsMax": 3}],
    }


def test_a_field_may_have_the_name_of_an_option() -> None:
    """The prefix tells it from the command's own."""
    assert made(FleetInstance, "--request.instance", "a") == FleetInstance(instance="a")


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        (TrafficPolicy, ["--client-call-max", "1"], "did you mean `client_calls_max`?"),
        (TrafficPolicy, ["--client-calls-max", "x"], "takes int32, and 'x' is none"),
        (TrafficPolicy, ["--client-calls-max"], "needs a value"),
        (TrafficPolicy, ["--client-calls-max.x", "1"], "has no fields"),
        (TrafficPolicy, ["--services", "{"], "and '{' is none"),
        (Treatment, ["--kind", "dmped"], "one of unspecified, damped, kept"),
        (InjectedFault, ["--delay", "1 week"], "takes Duration"),
        (Event, ["--record-time", "noon"], "takes Timestamp"),
        (FleetInstance, ["--serving=maybe"], "takes bool"),
        (FleetInstance, ["serving"], "'serving' is no field"),
    ],
)
def test_a_wrong_flag_says_what_is_right(kind: type[Message], words: list[str], said: str) -> None:
    """One sentence, with the flag in it."""
    assert said in refused(kind, *words)


def test_the_flags_of_a_message_are_listed() -> None:
    """For help and completion: a repeated message only as a whole."""
    flags = [flag for flag, _field in flags_of(Event.DESCRIPTOR)]
    assert flags[:3] == ["position", "stream", "version"]
    assert "content.schema" in flags
    assert all("." not in flag for flag, _ in flags_of(TrafficPolicy.DESCRIPTOR))
