from __future__ import annotations

import io
import json
import socket
from pathlib import Path

import pytest

from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandem.control.v1 import machine_pb2 as pb
from tandem.control.v1.checkpoint_pb2 import RESTORE_STEP_SWAPPING, RestoreJournal
from tandemkit.cli.boot import Asked, check_whole, free_port, prepared, wanted
from tandemkit.cli.output import Refusal
from tandemkit.cli.plan import blueprint
from tandemkit.cli.progress import Lines, bars
from tandemkit.cli.screen import screen, value_of
from tandemkit.cli.starting import Began
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.testing.checkouts import write_checkout

SERVED = (REGISTRY, MACHINE, TOOLBOX)


def checkout(folder: Path) -> Environment:
    write_checkout(folder, SERVED)
    return Environment.read(
        {"TANDEM_ROOT": str(folder), "TANDEM_HOME": str(folder / "home"), "HOME": str(folder)}
    )


def a_machine(*, well: bool = True) -> pb.Machine:
    states = (pb.HOST_STATE_SERVING, pb.HOST_STATE_SERVING if well else pb.HOST_STATE_FAILED)
    last = pb.AGENT_STATE_SERVING if well else pb.AGENT_STATE_NOT_SERVING
    agents = (pb.AGENT_STATE_SERVING, last)
    machine = pb.Machine(name="laptop", controls=["127.0.0.1:9"])
    for layer, agent in enumerate((REGISTRY, TOOLBOX)):
        host = machine.hosts.add(
            host=agent.name, state=states[layer], layer=layer, address=f"127.0.0.1:{9 + layer}"
        )
        if states[layer] != pb.HOST_STATE_SERVING:
            host.cause = "given up: no disk"
        service = agent.promise.service.full_name
        host.agents.add(name=agent.name, service=service, state=agents[layer], layer=layer)
    return machine


def test_a_taken_port_is_refused_before_anything_starts() -> None:
    """Whoever asked for it would look for control there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Refusal, match=r"cannot listen on .*: Address already in use; take"):
            free_port(address, "--address")
    host, port = free_port("127.0.0.1:0", "--address")
    assert host == "127.0.0.1"
    assert port > 0


def test_up_waits_for_no_restore_and_goes_into_no_half_done_home(tmp_path: Path) -> None:
    """While one is under way, and after one that was interrupted in its swap; one that had changed
    nothing keeps nobody from starting.
    """
    home = prepared(checkout(tmp_path))
    restore = Restore(home)
    journal = restore.begin(RestoreJournal(checkpoint="kept"))
    with Shelf(home).alone(), pytest.raises(Refusal, match="a restore of kept is under way"):
        check_whole(home)
    check_whole(home)
    restore.note(journal, RESTORE_STEP_SWAPPING)
    with pytest.raises(Refusal, match=r"\./tandem restore kept goes on with it"):
        prepared(checkout(tmp_path))
    restore.finish()
    check_whole(home)


@pytest.mark.parametrize("address", ["", "8200", "127.0.0.1:http", "127.0.0.1:", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Wrong usage is a sentence, not a traceback."""
    with pytest.raises(Refusal):
        free_port(address, "--address")


def test_a_plan_that_no_caller_can_reach_is_refused(tmp_path: Path) -> None:
    """A machine whose name is not known here is told with the option that says it."""
    environment = checkout(tmp_path)
    with pytest.raises(Refusal, match="--advertise says how callers reach"):
        wanted(blueprint(environment), Asked("laptop", advertise="no-such-machine.invalid"))
    assert wanted(blueprint(environment), Asked("laptop")).machine == "laptop"


def test_every_mistake_of_the_files_is_told_before_anything_starts(tmp_path: Path) -> None:
    """With the file, the line and the column."""
    environment = checkout(tmp_path)
    (tmp_path / "deploy/fleet/utility.yaml").write_text("agents: [{name: a}]")
    with pytest.raises(Refusal, match=r"fleet/utility\.yaml:1:17: `agents\[0\]\.name`"):
        wanted(blueprint(environment), Asked("laptop"))
    with pytest.raises(Refusal, match="there is no profile `lapto`"):
        wanted(blueprint(checkout(tmp_path)), Asked("lapto"))


def test_a_home_that_cannot_be_made_is_told_with_the_reason(tmp_path: Path) -> None:
    """One sentence, which names the folder."""
    environment = checkout(tmp_path)
    environment.home.write_text("a file stands here")
    with pytest.raises(Refusal, match="home cannot hold a fleet: "):
        prepared(environment)


def test_the_screen_says_what_serves_where_and_what_to_try() -> None:
    """What it says to try works as it stands."""
    told = screen(a_machine(), Began(attached=False), detached=False)
    assert "Ctrl-C ends it" in told
    assert f"{TOOLBOX.name}   {TOOLBOX.name}   127.0.0.1:10" in told
    assert "./tandem call utility-toolbox/" in told
    assert "NOT SERVING" not in told


def test_the_screen_says_what_does_not_serve_and_why() -> None:
    """And so does the value for programs."""
    told = screen(a_machine(well=False), Began(attached=False), detached=True)
    assert "NOT SERVING: utility-toolbox failed: given up: no disk" in told
    value = value_of(a_machine(well=False))
    assert value["serving"] is False
    assert json.loads(json.dumps(value)) == value


def test_the_screen_says_what_a_second_up_changed() -> None:
    """Or that there was nothing to change."""
    changed = pb.PlannedChange(host="agents", deed=pb.DEED_RESTART, why="its settings changed")
    told = screen(a_machine(), Began(attached=True, changes=(changed,)), detached=True)
    assert "restarted agents: its settings changed" in told
    kept = screen(a_machine(), Began(attached=True), detached=False)
    assert "nothing was changed" in kept
    assert "Ctrl-C leaves it running" in kept


def test_a_bar_for_each_layer_counts_its_agents() -> None:
    """And a host that failed says why below them."""
    drawn = list(bars(a_machine(well=False)))
    assert drawn[0].startswith("layer 0  [########################] 1/1 agents")
    assert drawn[1].startswith("layer 1  [........................] 0/1 agents")
    assert drawn[2] == "  utility-toolbox failed: given up: no disk"


def test_a_line_comes_with_each_change_and_no_other() -> None:
    """Where nobody can draw, as in the log of a service."""
    stream = io.StringIO()
    lines = Lines(stream)
    lines.show(a_machine(well=False))
    lines.show(a_machine(well=False))
    lines.show(a_machine())
    assert stream.getvalue().splitlines() == [
        "tandem: control-registry serves",
        "tandem: utility-toolbox failed: given up: no disk",
        "tandem: utility-toolbox serves",
    ]
