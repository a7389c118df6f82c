"""What `up` makes of its options and of the files: what is wanted, a home for it, a supervisor."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from dataclasses import dataclass

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.cli.credential import token_made
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.core.environment import Environment
from tandemkit.core.lock import InUse
from tandemkit.fleet.plan import Blueprint, NoSuchProfile, PlanRefused
from tandemkit.fleet.plan import plan as planned
from tandemkit.machine import __main__ as supervisor
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.machine.home import Home, HomeUnusable
from tandemkit.machine.orders import PlanUnusable, own_host, site_of
from tandemkit.storage.failure import Damaged
from tandemkit.supervise.detached import Program, python_argv, start_detached
from tandemkit.supervise.marks import Mark


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of `up` say of the fleet."""

    profile: str
    # How callers reach this machine. Empty: as the plan has it.
    advertise: str = ""


def wanted(written: Blueprint, asked: Asked) -> nouns.WantedMachine:
    """The plan of this machine; Refusal with every mistake of the files."""
    try:
        plan = planned(written, asked.profile)
    except PlanRefused as refused:
        raise Refusal(str(refused), EXIT_NO) from refused
    except NoSuchProfile as unknown:
        raise Refusal(f"{unknown}.") from unknown
    machine = plan.machines[0]
    found = nouns.WantedMachine(machine=machine.name, plan=plan, note=note("./tandem up"))
    if asked.advertise:
        found.plan.machines[0].address = asked.advertise
    _check(found)
    return found


def _check(found: nouns.WantedMachine) -> None:
    try:
        own_host(found)
        site_of(found)
    except PlanUnusable as unusable:
        hint = ""
        if "address" in unusable.metadata:
            hint = "; --advertise says how callers reach this machine"
        raise Refusal(f"{unusable}{hint}.") from unusable


def note(why: str) -> policy.ChangeNote:
    """Who asks, for the record."""
    try:
        author = getpass.getuser()
    except (KeyError, OSError):
        author = f"uid {os.getuid()}"
    return policy.ChangeNote(author=author, reason=why)


def prepared(environment: Environment, *, while_restoring: bool = False) -> Home:
    """The home of this fleet; Refusal where it cannot be written, or is half of one state and half
    of another.
    """
    home = Home(environment.home)
    try:
        home.prepare()
    except HomeUnusable as unusable:
        why = unusable.metadata["why"]
        raise Refusal(f"{home.folder} cannot hold a fleet: {why}.") from unusable
    if not while_restoring:
        check_whole(home)
    token_made(environment)
    return home


def check_whole(home: Home) -> None:
    """Refusal where a restore is under way, or was interrupted when the home was half done."""
    restore = Restore(home)
    try:
        journal, half_done = restore.journal, restore.half_done
    except Damaged as damaged:
        raise Refusal(f"{damaged}.", EXIT_NO) from damaged
    if journal is None:
        return
    name = journal.checkpoint
    try:
        with Shelf(home).alone():
            pass
    except InUse as in_use:
        message = f"a restore of {name} is under way in {home.folder}; wait for it."
        raise Refusal(message, EXIT_NO) from in_use
    if half_done:
        message = f"a restore of {name} was interrupted in {home.folder}: "
        raise Refusal(f"{message}./tandem restore {name} goes on with it.", EXIT_NO)


def start_supervisor(home: Home, environment: Environment) -> Mark:
    """In a session of its own; it reads from the home what is wanted."""
    argv = python_argv(str(supervisor.__package__), (), sys.executable)
    variables = {**environment.variables, "TANDEM_HOME": str(home.folder)}
    pid = start_detached(Program(argv, home.log, variables))
    mark = Mark.of(pid)
    if mark is None:
        raise Refusal(f"the supervisor ended at once; {home.log} says why.", EXIT_NO)
    return mark


def free_port(address: str, option: str) -> tuple[str, int]:
    """Host and port, which nobody else listens on; port 0 is the kernel's choice."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Refusal(f"{option} {address!r} is not of the form host:port.")
    try:
        with socket.create_server((host, int(port))) as found:
            return str(found.getsockname()[0]), int(found.getsockname()[1])
    except (OSError, OverflowError) as error:
        # `create_server` adds the address to the kernel's words, and we have said it.
        why = str(getattr(error, "strerror", "") or error).partition(" (while")[0]
        raise Refusal(
            f"cannot listen on {address}: {why}; "
            f"take a free port with {option} 127.0.0.1:0, or leave it out."
        ) from error
