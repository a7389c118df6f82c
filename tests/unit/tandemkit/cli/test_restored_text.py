"""What `restore` and `rollback` say of a fleet that came back."""

from __future__ import annotations

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.restore import screen, value_of
from tandemkit.cli.restoring import Restored


def test_who_was_left_out_is_said_with_the_reason() -> None:
    """It served when the checkpoint was made, and no smoke test misses it now."""
    machine = nouns.Machine(name="laptop")
    machine.absent.add(name="go-agent", service="tandem.go.v1.AnyService", why="Go is absent")
    done = Restored("kept", machine=machine)
    assert "ABSENT: go-agent: Go is absent." in screen(done, []).splitlines()
    (absent,) = value_of(done, [])["absent"]
    assert (absent["agent"], absent["why"]) == ("go-agent", "Go is absent")
