"""Consul's key-value store: rows, blocking queries, and transactions."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tandemkit.reach.failure import Refused
from tandemkit.registry.consul_http import Answer, ConsulHttp, Request

Operation = dict[str, object]

_MARK_BITS = 63
_DENIED = "Permission denied"


class Conflict(Exception):
    """A transaction did nothing, because its operation of number `at` did not hold."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


@dataclass(frozen=True, slots=True)
class Row:
    """`version` is the Raft index of its last change: it rises, and never comes back."""

    key: str
    encoded: str
    version: int
    session: str

    @property
    def value(self) -> bytes:
        return base64.b64decode(self.encoded)


def write(verb: str, key: str, value: bytes, **fields: object) -> Operation:
    """`set`, `cas` or `lock`. Consul skips a write that changes nothing, and its version then
    stays: a random mark makes each one a change.
    """
    fields["Flags"] = secrets.randbits(_MARK_BITS)
    return operation(verb, key, Value=base64.b64encode(value).decode(), **fields)


def operation(verb: str, key: str, **fields: object) -> Operation:
    """Any other: `delete`, or a check of `index`, `session` or `not-exists`."""
    return {"KV": {"Verb": verb, "Key": key, **fields}}


def version_is(key: str, version: int) -> Operation:
    """Holds where the row is still that one; 0 is where there is none."""
    if version == 0:
        return operation("check-not-exists", key)
    return operation("check-index", key, Index=version)


def _refusal(errors: Sequence[Mapping[str, Any]]) -> Exception:
    """A transaction that a token may not make looks like one that did not hold, but for a text."""
    first = min(errors, key=lambda error: int(error["OpIndex"]))
    if _DENIED in first["What"]:
        return Refused("consul denied the token", path="/v1/txn", said=first["What"])
    return Conflict(first["OpIndex"])


class ConsulKv:
    """Rows below one prefix, which no caller sees."""

    def __init__(self, http: ConsulHttp) -> None:
        self._http = http
        self._root = f"{http.settings.prefix}/"

    async def get(self, key: str) -> Row | None:
        """The row as last committed: asks the leader, which asks the others whether it still is
        one.
        """
        rows = self._rows(await self._http.ask(self._read(key)))
        return rows[0] if rows else None

    async def get_once(self, key: str) -> Row | None:
        """The same with a single try."""
        rows = self._rows(await self._http.ask_once(self._read(key)))
        return rows[0] if rows else None

    async def under(self, prefix: str) -> tuple[int, list[Row]]:
        """All rows below `prefix`, and the index at which they were so."""
        answer = await self._http.ask(
            Request("GET", self._path(prefix), {"recurse": "1", "consistent": "1"}, again=True)
        )
        return answer.index, self._rows(answer)

    async def next_under(self, prefix: str, index: int, wait_s: float) -> tuple[int, list[Row]]:
        """As `under`, once that is later than `index`, or after about `wait_s`; 0 asks at once. One
        try.
        """
        query = {"recurse": "1"}
        if index:
            query |= {"index": str(index), "wait": f"{round(wait_s * 1000)}ms"}
        answer = await self._http.ask_once(
            Request("GET", self._path(prefix), query, wait_s=wait_s if index else 0.0)
        )
        return answer.index, self._rows(answer)

    async def commit(self, operations: Sequence[Operation], *, again: bool = False) -> list[int]:
        """All of them or, with Conflict, none; the versions of the rows that it answers with, in
        order. A deletion answers with none.
        """
        body = [self._rooted(one) for one in operations]
        answer = await self._http.ask(Request("PUT", "/v1/txn", body=body, again=again))
        said = answer.parsed()
        if answer.status == HTTPStatus.CONFLICT:
            raise _refusal(said["Errors"])
        return [int(one["KV"]["ModifyIndex"]) for one in said["Results"] or ()]

    def _read(self, key: str) -> Request:
        return Request("GET", self._path(key), {"consistent": "1"}, again=True)

    def _path(self, key: str) -> str:
        return f"/v1/kv/{self._root}{key}"

    def _rooted(self, one: Operation) -> dict[str, Any]:
        fields: Any = one["KV"]
        return {"KV": {**fields, "Key": f"{self._root}{fields['Key']}"}}

    def _rows(self, answer: Answer) -> list[Row]:
        if not answer.found:
            return []
        return [
            Row(
                one["Key"].removeprefix(self._root),
                one["Value"] or "",
                int(one["ModifyIndex"]),
                one.get("Session", ""),
            )
            for one in answer.parsed()
        ]
