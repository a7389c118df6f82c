from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.machine.changes import changes
from tandemkit.machine.home import Home, HomeUnusable, write_at_once
from tandemkit.machine.record import Record, record_path, records
from tandemkit.supervise.marks import Mark

MARK = Mark(12, 34, "boot")


class Digest:
    def __init__(self, digest: str) -> None:
        self.digest = digest


def test_what_is_wanted_is_there_for_who_comes_next(tmp_path: Path) -> None:
    """And gone once the fleet is."""
    home = Home(tmp_path / "home")
    home.prepare()
    assert home.wanted is None
    home.want(pb.WantedMachine(generation=3, machine="laptop"))
    home.note("laptop", ["127.0.0.1:1"], "127.0.0.1:2")
    home.say_supervisor(MARK)
    home.own(MARK)
    home.say_ending()
    again = Home(tmp_path / "home")
    assert again.wanted == pb.WantedMachine(generation=3, machine="laptop")
    assert (again.supervisor, again.owner, again.is_ending) == (MARK, MARK, True)
    home.forget()
    left = Home(tmp_path / "home")
    assert left.wanted is None
    assert left.supervisor is left.owner is None
    assert not left.is_ending
    assert not (tmp_path / "home/running.json").exists()


def test_what_cannot_be_read_is_not_wanted(tmp_path: Path) -> None:
    """A disk that lost the middle of the file costs a plan, which `up` makes again."""
    home = Home(tmp_path / "home")
    home.prepare()
    (home.run / "wanted.binpb").write_bytes(b"\xff\xff\xff")
    assert home.wanted is None


def test_only_its_owner_reads_what_is_in_a_home(tmp_path: Path) -> None:
    """Folders and files alike, whatever the umask says."""
    before = os.umask(0)
    try:
        home = Home(tmp_path / "home")
        home.prepare()
        home.want(pb.WantedMachine())
        home.note("laptop", [], "")
    finally:
        os.umask(before)
    for path in (home.folder, home.run, home.logs, home.state, *home.run.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_home_that_cannot_be_one_says_why(tmp_path: Path) -> None:
    """With the kernel's own reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable, match="Not a directory"):
        Home(tmp_path / "file" / "home").prepare()


def test_a_path_that_is_too_long_for_a_socket_has_none(tmp_path: Path) -> None:
    """The supervisor then answers at its port alone."""
    assert Home(Path("/tmp/short")).socket == Path("/tmp/short/machine.sock")
    assert Home(tmp_path / ("x" * 100)).socket is None


def test_a_reader_finds_the_old_text_or_the_new(tmp_path: Path) -> None:
    """Never half of one: the new one comes under the name in one step."""
    path = tmp_path / "file"
    write_at_once(path, b"old")
    with path.open("rb") as reading:
        write_at_once(path, b"new")
        assert reading.read() == b"old"
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And what another version wrote, or half of one, is none."""
    record = Record(MARK, "digest", 3, SystemClock().now(), 1)
    record.write(record_path(tmp_path, "agents"))
    assert records(tmp_path) == {"agents": record}
    record_path(tmp_path, "half").write_text('{"mark": "12 34 bo')
    record_path(tmp_path, "other").write_text(json.dumps({"mark": "12 34 boot", "starts": 1}))
    record_path(tmp_path, "list").write_text("[]")
    assert records(tmp_path) == {"agents": record}


def test_each_host_is_kept_started_restarted_or_stopped() -> None:
    """By its digest, and by whether it runs at all."""
    running = {name: Digest("old") for name in ("kept", "changed", "down", "gone")}
    wanted = {"kept": Digest("old"), "changed": Digest("new"), "down": Digest("old")}
    found = changes(running, {**wanted, "new": Digest("new")}, frozenset({"down"}))
    assert {one.host: one.deed for one in found} == {
        "kept": pb.DEED_KEEP,
        "changed": pb.DEED_RESTART,
        "down": pb.DEED_START,
        "new": pb.DEED_START,
        "gone": pb.DEED_STOP,
    }
