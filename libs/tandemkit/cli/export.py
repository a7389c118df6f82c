"""`tandem export`: everything that the fleet keeps about somebody, as lines of JSON."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import click
import grpc

from tandem.memory.v1 import namespace_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2 as events
from tandemkit.cli import running
from tandemkit.cli.credential import shown_at
from tandemkit.cli.event_text import Schemas
from tandemkit.cli.failure import describe
from tandemkit.cli.harmless import json_text
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.core.environment import Environment


@click.command(
    short_help="Print everything that the fleet keeps about somebody.",
    epilog=examples(
        "./tandem export 'Ada Lovelace' > ada.jsonl",
        "./tandem export 'Ada Lovelace' --mentions --json | jq '.records | length'",
        "./tandem export --namespace team-a --everything",
    ),
)
@click.argument("subject", default="")
@click.option("--namespace", default="default", show_default=True, help="Where.")
@click.option("--mentions", is_flag=True, help="Also what only has the words in its text.")
@click.option("--everything", is_flag=True, help="All of the namespace, instead of a subject.")
@running.address
@as_json
def export(
    *, subject: str, namespace: str, mentions: bool, everything: bool, **more: object
) -> None:
    """Print what every agent keeps about SUBJECT, a line of JSON for each thing; with --json one
    value with all of them. It exits 1, and prints nothing, where it would not be all.
    """
    if bool(subject) == everything:
        raise Refusal("name a SUBJECT, or say --everything for all of a namespace.")
    request = pb.ExportSubjectRequest(
        subject=subject, namespace=namespace, mentions=mentions, whole_namespace=everything
    )
    environment = Environment.read()
    found = asyncio.run(_told(str(more["address"]), environment, request))
    schemas = Schemas.read(environment)
    records = [record_of(one, schemas) for one in found]
    emit(
        {"records": records},
        as_json=bool(more["as_json"]),
        text=lambda: "\n".join(json_text(json.dumps(one, ensure_ascii=False)) for one in records),
    )


async def _told(
    address: str, environment: Environment, request: pb.ExportSubjectRequest
) -> list[pb.SubjectRecord]:
    """All of it before the first line: a part looks like all."""
    async with shown_at(address, environment) as channel:
        stub: Any = rpc.NamespaceServiceStub(channel)
        try:
            return [one async for told in stub.ExportSubject(request) for one in told.records]
        except grpc.RpcError as error:
            raise Refusal(describe(error).as_text(), EXIT_NO) from error


def record_of(record: pb.SubjectRecord, schemas: Schemas) -> dict[str, Any]:
    """What this checkout has no contract of is in base64."""
    content = events.EventContent(schema=record.message_type, content=record.message)
    told = schemas.told(content)
    value: dict[str, Any] = {"agent": record.agent, "name": record.name}
    value |= {"message_type": record.message_type, "message": told}
    if told is None:
        value["message_base64"] = base64.b64encode(record.message).decode()
    return value
