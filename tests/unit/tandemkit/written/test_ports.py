"""Catalogue row M020: a duplicate or out-of-range port is refused, with its place."""

from __future__ import annotations

import pytest

from tandemkit.written.ports import PortBook
from tests.unit.tandemkit.fleet.planted import PORTS, Planted


def read(text: str) -> PortBook:
    return PortBook.read("ports.yaml", text)


def test_m020_a_good_file_gives_ports_by_what_they_are_for() -> None:
    """The lowest first, without those that have a meaning or belong to somebody else."""
    book = read(PORTS)
    assert book.mistakes == []
    assert list(book.free("grpc")) == list(range(8201, 8211))
    assert next(iter(book.free("http"))) == 9101
    assert book.fixed == {"control": 8200, "gateway": 10010}
    assert book.withheld()[8200] == "it is the port of `control`"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            *("first: 9100", "first: 8205"),
            "6:12: `ranges[1].first`: 8205-8210 belongs to `grpc` already: begin behind or end ",
        ),
        (
            *("last: 8210", "last: 8100"),
            "4:11: `ranges[0].last`: 8100 is before the first, 8200: exchange the two",
        ),
        ("name: http", "name: grpc", "5:11: `ranges[1].name`: `grpc` stands here twice"),
        ("port: 10010", "port: 8200", "13:11: `fixed[1].port`: 8200 is the port of `control` "),
        ("port: 10010", "port: 9100", "13:11: `fixed[1].port`: 9100 is reserved (somebody else's)"),
        ("port: 10010", "port: 8207", "13:11: `fixed[1].port`: 8207 lies in `grpc`: say `range: "),
        ("port: 8200", "port: 8300", "10:11: `fixed[0].port`: 8300 is not in `grpc`, 8200-8210"),
        ("port: 10010", "port: 99999", "13:11: `fixed[1].port`: must be"),
        ("range: grpc", "range: grcp", "11:12: `fixed[0].range`: there is no range `grcp`; did "),
        ("name: gateway", "name: control", "12:11: `fixed[1].name`: `control` stands here twice"),
        ("why: some", "why: x\n  - port: 9100\n    why: some", "17:11: `reserved[1].port`: 9100 "),
        ("ranges:", "range:", "1:1: tandem.fleet.v1.Ports has no field `range`; did you mean "),
    ],
)
def test_m020_a_duplicate_or_out_of_range_port_is_refused(
    before: str, after: str, said: str
) -> None:
    """Each names the line, and what holds the port already."""
    assert before in PORTS
    found = [str(one) for one in read(PORTS.replace(before, after, 1)).mistakes]
    assert any(one.startswith(f"ports.yaml:{said}") for one in found), found


def test_a_range_that_is_too_short_is_told_with_the_number() -> None:
    """Three hosts on one machine, two of them without a port of their own."""
    (said,) = Planted().changed("ports.yaml", "last: 8210", "last: 8201").said()
    assert said == (
        "ports.yaml:4:11: `ranges[0].last`: big needs 2 ports of `grpc`, and 1 are free: make the "
        "range 1 longer"
    )
