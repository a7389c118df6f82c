"""deploy/ports.yaml, checked: disjoint ranges, no number and no name twice, reserved ones free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tandem.fleet.v1.ports_pb2 import FixedPort, PortRange, Ports
from tandemkit.written.marked import Entry, Mistake, Reader, read
from tandemkit.written.near import hint
from tandemkit.written.variables import Variables

CONTROL, KSERVE = "control", "kserve"


@dataclass
class PortBook:
    """The ports of a machine by what they are for."""

    file: Entry[Ports]
    ranges: dict[str, Entry[PortRange]] = field(default_factory=dict)
    fixed: dict[str, int] = field(default_factory=dict)
    reserved: dict[int, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    @classmethod
    def read(cls, path: str, text: str, variables: Variables | None = None) -> PortBook:
        """One that holds what is right with the file, and its mistakes."""
        reader = Reader(path, variables or Variables())
        file = read(reader, Ports(), text)
        return cls._of(file, reader.mistakes)

    @classmethod
    def of(cls, ports: Ports) -> PortBook:
        """Of a list that was read before, such as a plan's."""
        return cls._of(Entry(ports, Reader("ports").nowhere()), [])

    @classmethod
    def _of(cls, file: Entry[Ports], mistakes: list[Mistake]) -> PortBook:
        book = cls(file)
        book.mistakes = mistakes
        for index, span in enumerate(file.fields.ranges):
            book._add_range(Entry(span, file.places, f"ranges[{index}]"))
        for index, kept in enumerate(file.fields.reserved):
            if kept.port in book.reserved:
                entry = Entry(kept, file.places, f"reserved[{index}]")
                book.mistakes.append(entry.mistake("port", f"{kept.port} is reserved already"))
            book.reserved.setdefault(kept.port, kept.why)
        for index, fixed in enumerate(file.fields.fixed):
            book._add_fixed(Entry(fixed, file.places, f"fixed[{index}]"))
        return book

    def span(self, name: str) -> range:
        """All numbers of a range; an unknown one is empty."""
        if name not in self.ranges:
            return range(0)
        entry = self.ranges[name]
        return range(entry.fields.first, entry.fields.last + 1)

    def free(self, name: str) -> Iterator[int]:
        """Numbers of a range that hosts may be given, the lowest first."""
        taken = {*self.fixed.values(), *self.reserved}
        return (port for port in self.span(name) if port not in taken)

    def short_of(self, name: str, message: str) -> Mistake:
        """A mistake at a range that is too short, or at its absence."""
        if name in self.ranges:
            return self.ranges[name].mistake("last", message)
        return self.file.mistake("ranges", f"there is no range `{name}`, and {message}")

    def withheld(self) -> Mapping[int, str]:
        """Numbers that no host is given, each with the reason, as an allocator takes them."""
        fixed = {port: f"it is the port of `{name}`" for name, port in self.fixed.items()}
        return {**fixed, **self.reserved}

    def _add_range(self, entry: Entry[PortRange]) -> None:
        span = entry.fields
        if span.last < span.first:
            said = f"{span.last} is before the first, {span.first}: exchange the two"
            self.mistakes.append(entry.mistake("last", said))
        for name, other in self.ranges.items():
            first = max(span.first, other.fields.first)
            last = min(span.last, other.fields.last)
            if first <= last:
                said = f"{first}-{last} belongs to `{name}` already: begin behind or end before it"
                self.mistakes.append(entry.mistake("first", said))
        if span.name in self.ranges:
            self.mistakes.append(entry.mistake("name", f"`{span.name}` stands here twice"))
        self.ranges.setdefault(span.name, entry)

    def _add_fixed(self, entry: Entry[FixedPort]) -> None:
        fixed = entry.fields
        if fixed.name in self.fixed:
            self.mistakes.append(entry.mistake("name", f"`{fixed.name}` stands here twice"))
        for said in self._objections(fixed):
            self.mistakes.append(entry.mistake("port", said))
        if fixed.range and fixed.range not in self.ranges:
            said = f"there is no range `{fixed.range}`{hint(fixed.range, self.ranges)}"
            self.mistakes.append(entry.mistake("range", said))
        self.fixed.setdefault(fixed.name, fixed.port)

    def _objections(self, fixed: FixedPort) -> Iterator[str]:
        for name, port in self.fixed.items():
            if port == fixed.port:
                yield f"{port} is the port of `{name}` already: take another"
        if fixed.port in self.reserved:
            yield f"{fixed.port} is reserved ({self.reserved[fixed.port]}): take another"
        span = self.span(fixed.range)
        if fixed.range in self.ranges and fixed.port not in span:
            yield f"{fixed.port} is not in `{fixed.range}`, {span.start}-{span.stop - 1}"
        for name in self.ranges:
            if not fixed.range and fixed.port in self.span(name):
                yield f"{fixed.port} lies in `{name}`: say `range: {name}`, or hosts may get it"
