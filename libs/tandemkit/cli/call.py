"""`tandem call`: one call to an agent, described by the server's own reflection."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandemkit.cli import running
from tandemkit.cli.failure import describe
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, examples
from tandemkit.cli.reflection import Contracts, connected


@click.command(
    short_help="Call a method of an agent that serves.",
    epilog=examples(
        './tandem call utility-toolbox/MeasureText \'{"text": "hello"}\'',
        "./tandem call tandem.utility.v1.FilesService/ListFiles",
        "echo '{}' | ./tandem call utility-files/WatchFiles -",
    ),
)
@click.argument("method")
@click.argument("request_json", default="{}")
@running.address
@click.option(
    "--deadline-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Give up after so many seconds.",
)
@as_json
def call(
    *, method: str, request_json: str, address: str, deadline_s: float | None, as_json: bool
) -> None:
    """Call METHOD, written SERVICE/METHOD, with REQUEST_JSON; `-` reads it from stdin.

    A stream prints one JSON value a line, as they come. A failed call prints its code, its reason,
    what is wrong with which field, and its metadata, and exits 1.
    """
    text = sys.stdin.read() if request_json == "-" else request_json
    with connected(address) as channel:
        try:
            found = Contracts(channel).method(method)
            answers = _answers(channel, found, _request(found, text), deadline_s)
            for answer in answers:
                click.echo(_render(answer, lines=as_json or found.server_streaming))
        except grpc.RpcError as error:
            _report(error, as_json=as_json)


def _request(method: MethodDescriptor, text: str) -> Message:
    if method.client_streaming:
        raise Refusal(f"{method.full_name} takes a stream of requests; grpcurl can send one.")
    message = GetMessageClass(method.input_type)()
    try:
        return json_format.Parse(text, message)
    except json_format.ParseError as error:
        raise Refusal(f"the request is no {method.input_type.full_name}: {error}") from error


def _answers(
    channel: grpc.Channel, method: MethodDescriptor, request: Message, deadline_s: float | None
) -> Iterator[Message]:
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer = GetMessageClass(method.output_type)
    codec: dict[str, Any] = {
        "request_serializer": type(request).SerializeToString,
        "response_deserializer": answer.FromString,
    }
    if method.server_streaming:
        yield from channel.unary_stream(path, **codec)(request, timeout=deadline_s)
    else:
        yield channel.unary_unary(path, **codec)(request, timeout=deadline_s)


def _render(answer: Message, *, lines: bool) -> str:
    told = json_format.MessageToDict(answer, always_print_fields_with_no_presence=True)
    return json.dumps(told, ensure_ascii=False, indent=None if lines else 2)


def _report(error: grpc.RpcError, *, as_json: bool) -> None:
    told = describe(error)
    if as_json:
        click.echo(json.dumps({"error": told.as_dict()}))
        raise click.exceptions.Exit(EXIT_NO) from error
    raise Refusal(told.as_text(), EXIT_NO) from error
