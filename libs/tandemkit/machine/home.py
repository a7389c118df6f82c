"""The folder of one fleet on one machine: state, logs, sockets, and who runs.

All that two processes of the fleet tell each other past the network stands here, so that fleets
with different homes run side by side: docs/design/machine.md lists the files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.core.errors import Failure
from tandemkit.core.token import FILE_NAME
from tandemkit.secrecy.place import Place
from tandemkit.supervise import keeper
from tandemkit.supervise.marks import Mark

# What the kernel takes as the path of a socket, less what gRPC puts before it.
_SOCKET_BYTES_MAX = 100
# More than what is written at a start.
_OWNER, _ENDING = "owner", "ending"
_ROOM_BYTES = 8 * 1024 * 1024


class HomeUnusable(Failure):
    """The folder cannot hold a fleet; the message says why."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one TANDEM_HOME, and the small files there."""

    folder: Path

    @property
    def state(self) -> Path:
        """A folder for each agent."""
        return self.folder / "state"

    @property
    def token(self) -> Path:
        """What callers of the fleet show."""
        return self.folder / FILE_NAME

    @property
    def secrets(self) -> Place:
        """What its agents need of other people's keys: in memory, where there is such."""
        return Place.of(self.folder)

    @property
    def logs(self) -> Path:
        """A file for each host."""
        return self.folder / "logs"

    @property
    def run(self) -> Path:
        """Who runs; of no use to the next boot."""
        return self.folder / "run"

    @property
    def hosts(self) -> Path:
        """A record for each host that runs."""
        return self.run / "hosts"

    @property
    def pulses(self) -> Path:
        """What each host shows of its life."""
        return self.run / "pulses"

    @property
    def state_store(self) -> Path:
        """Where agents keep their state, if not in files."""
        return self.run / "state_store.json"

    @property
    def log(self) -> Path:
        """The supervisor's own."""
        return self.logs / "machine.log"

    @property
    def outbox(self) -> Path:
        """Events of this machine that the event store does not have yet."""
        return self.folder / "events" / "machine.outbox"

    @property
    def lock(self) -> Path:
        """Held by the one supervisor of this home."""
        return self.run / "machine.lock"

    @property
    def socket(self) -> Path | None:
        """Where the supervisor answers the command line; None where the path is too long for one,
        and it answers at its port alone.
        """
        path = self.folder / "machine.sock"
        return path if len(os.fsencode(path)) <= _SOCKET_BYTES_MAX else None

    def prepare(self) -> None:
        """Makes the folders. Raises HomeUnusable where they cannot hold what a start writes."""
        try:
            for folder in (self.folder, self.state, self.logs, self.run, self.hosts, self.pulses):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.run) as trial:
                os.posix_fallocate(trial.fileno(), 0, _ROOM_BYTES)
        except OSError as error:
            why = error.strerror or str(error)
            raise HomeUnusable("the home cannot be written", home=self.folder, why=why) from error

    @property
    def wanted(self) -> nouns.WantedMachine | None:
        """What the last plan that was applied here wants; None where there is none, or a newer
        supervisor wrote it in a form that this one cannot read.
        """
        try:
            return nouns.WantedMachine.FromString(self._wanted.read_bytes())
        except (FileNotFoundError, DecodeError):
            return None

    def want(self, wanted: nouns.WantedMachine) -> None:
        """For this supervisor's successor."""
        if wanted.plan.HasField("state"):
            write_at_once(self.state_store, MessageToJson(wanted.plan.state).encode())
        write_at_once(self._wanted, wanted.SerializeToString(deterministic=True))

    def forget(self) -> None:
        """There is no fleet here any more."""
        names = (keeper.SUPERVISOR, _OWNER, _ENDING)
        for path in (self._wanted, self._note, *(self.run / name for name in names)):
            path.unlink(missing_ok=True)
        self.secrets.forget()

    @property
    def is_ending(self) -> bool:
        """Whether the fleet is on its way down, whoever supervises that."""
        return (self.run / _ENDING).exists()

    def say_ending(self) -> None:
        (self.run / _ENDING).touch(mode=0o600)

    @property
    def supervisor(self) -> Mark | None:
        """The process that supervises, or did until it died."""
        return _mark_in(self.run / keeper.SUPERVISOR)

    def say_supervisor(self, mark: Mark) -> None:
        write_at_once(self.run / keeper.SUPERVISOR, str(mark).encode())

    @property
    def keeper(self) -> Mark | None:
        """The process that starts the supervisor again, or did."""
        return _mark_in(self.run / keeper.KEEPER)

    @property
    def owner(self) -> Mark | None:
        """The command that the fleet ends with; None where it is detached from any."""
        return _mark_in(self.run / _OWNER)

    def own(self, mark: Mark | None) -> None:
        if mark is None:
            (self.run / _OWNER).unlink(missing_ok=True)
        else:
            write_at_once(self.run / _OWNER, str(mark).encode())

    def beat(self) -> None:
        """The supervisor runs."""
        (self.run / keeper.BEAT).touch(mode=0o600)

    def note(self, machine: str, controls: Sequence[str], supervisor: str) -> None:
        """For commands of other terminals: where the fleet is."""
        said = {"controls": list(controls), "machine": machine, "supervisor": supervisor}
        write_at_once(self._note, json.dumps(said).encode())

    @property
    def _note(self) -> Path:
        return self.folder / "running.json"

    @property
    def _wanted(self) -> Path:
        return self.run / "wanted.binpb"


def write_at_once(path: Path, content: bytes) -> None:
    """Who reads it meanwhile, or after a loss of power, finds all of it or what was there before.
    Only its owner may read it.
    """
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.replace(path)


def _mark_in(path: Path) -> Mark | None:
    try:
        return Mark.parsed(path.read_text())
    except FileNotFoundError:
        return None
