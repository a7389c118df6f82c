"""`tandem call`: one call to an agent, described by the server's own reflection."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import click
import grpc
from click.shell_completion import CompletionItem
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandemkit.cli import call_text, completing, harmless, running
from tandemkit.cli.call_requests import requests_of
from tandemkit.cli.failure import describe
from tandemkit.cli.image_pool import Pools
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.reflection import Contracts, connected, short
from tandemkit.core.environment import Environment
from tandemkit.rpc import trace
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.written.contract_comments import Comments, image_of

_HEADER = re.compile(r"[0-9a-z_.-]+")
Metadata = list[tuple[str, str | bytes]]


class CallCommand(click.Command):
    """Its options are also the fields of the method that stands on the line."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [*completing.fields(ctx, incomplete), *super().shell_complete(ctx, incomplete)]


@click.command(
    cls=CallCommand,
    short_help="Call a method of an agent that serves.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "./tandem call utility-toolbox/MeasureText --text hello",
        './tandem call utility-toolbox/MeasureText \'{"text": "hello"}\'',
        "./tandem call utility-toolbox             its methods",
        "./tandem call utility-toolbox/ConvertQuantity --help   its fields",
        "./tandem call utility-toolbox/ConvertQuantity --quantity.value 3 ...",
        "./tandem call tandem.utility.v1.FilesService/ListFiles -H x-tester:yes",
        "echo '{}' | ./tandem call utility-files/WatchFiles -",
        "./tandem call utility-toolbox/MeasureText --text hello --trace   and then ./tandem why",
        "./tandem call control-machine/GetMachine --instance control-machine-laptop",
    ),
)
@click.argument(
    "method", required=False, metavar="SERVICE/METHOD", shell_complete=completing.methods
)
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[JSON|-] [--FIELD VALUE]...",
    shell_complete=completing.values,
)
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Metadata.")
@click.option(
    "--instance",
    help="The instance that shall answer, such as utility-files-2.",
    shell_complete=completing.instances,
)
@click.option("--trace", is_flag=True, help="Leave a record, and print its id for ./tandem why.")
@click.option("--deadline-s", type=click.FloatRange(min=0, min_open=True), help="Give up after it.")
@click.option("-h", "--help", "wants_help", is_flag=True, help="This; of a method, its fields.")
@running.address
@as_json
@click.pass_context
def call(context: click.Context, /, *, method: str | None, wants_help: bool, **asked: Any) -> None:
    """Call METHOD of SERVICE with a request as JSON, from stdin (-) or from flags, or show what
    there is to call.

    Flags are the request's fields: --text hello, --quantity.value 3, --tag a --tag b,
    --items.0.name x, --labels.color red; enums by name, durations as 1.5s, moments in ISO 8601 or
    as now-10m, bytes as text or @FILE, other messages as JSON. --request.FIELD is the field whose
    name is an option's. A stream of requests is several JSONs, or lines of JSON on stdin.

    A stream of answers prints one JSON value a line, as they come. A failed call prints its code,
    its reason, what is wrong with which field, and its metadata, and exits 1.
    """
    if method is None:
        if not wants_help:
            raise click.UsageError("Missing argument 'SERVICE/METHOD'.", context)
        click.echo(context.get_help())
        return
    with connected(asked["address"]) as channel:
        contracts = Contracts(channel)
        if wants_help or contracts.names(method):
            _explain(contracts, method, as_json=asked["as_json"])
            return
        try:
            _call(channel, contracts.method(method), asked)
        except grpc.RpcError as error:
            _report(error, as_json=asked["as_json"])


def _explain(contracts: Contracts, name: str, *, as_json: bool) -> None:
    comments = Comments(image_of(Environment.read()))
    if contracts.names(name):
        service = contracts.service(name)
        emit(
            _service_value(service, comments),
            as_json=as_json,
            text=lambda: call_text.methods_text(service, comments),
        )
        return
    method = contracts.method(name)
    emit(
        call_text.method_value(method, comments),
        as_json=as_json,
        text=lambda: call_text.method_text(method, comments),
    )


def _service_value(service: ServiceDescriptor, comments: Comments) -> dict[str, Any]:
    methods = [
        {
            "method": one.name,
            "comment": comments.of(one.full_name),
            "terms": call_text.terms_of(one),
        }
        for one in service.methods
    ]
    name = service.full_name
    return {"service": name, "name": short(name), "comment": comments.of(name), "methods": methods}


def _call(channel: grpc.Channel, method: MethodDescriptor, asked: dict[str, Any]) -> None:
    metadata = metadata_of(asked["headers"], asked["instance"])
    if asked["trace"]:
        metadata.append(_begun(metadata))
    requests = _Kept(requests_of(method, asked["words"]))
    try:
        for answer in _answers(channel, method, requests, asked["deadline_s"], metadata):
            lines = asked["as_json"] or method.server_streaming
            click.echo(_render(answer, method, lines=lines))
    except grpc.RpcError:
        # gRPC would only say that it could not go through the requests.
        if requests.refusal is not None:
            raise requests.refusal from None
        raise


def _begun(metadata: Metadata) -> tuple[str, str]:
    """The header of a trace of which every server keeps a line, wherever it leads."""
    if any(name == trace.HEADER for name, _value in metadata):
        raise Refusal(f"--trace begins a trace, and -H {trace.HEADER} names another one.")
    begun = trace.begun()
    # Answers are on stdout, which may be read by a program.
    click.echo(f"trace {trace.trace_id(begun)}", err=True)
    return trace.HEADER, begun


class _Kept:
    """Requests, of which gRPC takes one after another in a thread of its own. What is wrong with
    one of them is kept here.
    """

    def __init__(self, requests: Iterator[Message]) -> None:
        self._requests = requests
        self.refusal: Refusal | None = None

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        try:
            return next(self._requests)
        except Refusal as refusal:
            self.refusal = refusal
            raise


def metadata_of(headers: Sequence[str], instance: str | None) -> Metadata:
    """Of `NAME:VALUE`; one whose name ends in -bin is bytes, in base64."""
    told: Metadata = [(INSTANCE_HEADER, instance)] if instance else []
    for header in headers:
        name, colon, text = header.partition(":")
        name, text = name.strip().lower(), text.strip()
        if not colon or _HEADER.fullmatch(name) is None or not text.isprintable():
            raise Refusal(f"{header!r} is no metadata of the form name:value.")
        try:
            told.append(
                (name, base64.b64decode(text, validate=True) if name.endswith("-bin") else text)
            )
        except binascii.Error as error:
            raise Refusal(f"{name} is bytes, so its value is base64; {text!r} is not.") from error
    return told


def _answers(
    channel: grpc.Channel,
    method: MethodDescriptor,
    requests: Iterator[Message],
    deadline_s: float | None,
    metadata: Metadata,
) -> Iterator[Message]:
    path = f"/{method.containing_service.full_name}/{method.name}"
    codec: dict[str, Any] = {
        "request_serializer": GetMessageClass(method.input_type).SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    terms: dict[str, Any] = {"timeout": deadline_s, "metadata": metadata}
    match method.client_streaming, method.server_streaming:
        case False, False:
            yield channel.unary_unary(path, **codec)(next(requests), **terms)
        case False, True:
            yield from channel.unary_stream(path, **codec)(next(requests), **terms)
        case True, False:
            yield channel.stream_unary(path, **codec)(requests, **terms)
        case _:
            yield from channel.stream_stream(path, **codec)(requests, **terms)


def _render(answer: Message, method: MethodDescriptor, *, lines: bool) -> str:
    pools = Pools(method.output_type.file.pool, Environment.read())
    pools.close_unknown(answer)
    pool: Any = pools
    told = json_format.MessageToDict(
        answer, always_print_fields_with_no_presence=True, descriptor_pool=pool
    )
    return harmless.json_text(json.dumps(told, ensure_ascii=False, indent=None if lines else 2))


def _report(error: grpc.RpcError, *, as_json: bool) -> None:
    told = describe(error)
    if as_json:
        click.echo(json.dumps({"error": told.as_dict()}))
        raise click.exceptions.Exit(EXIT_NO) from error
    raise Refusal(told.as_text(), EXIT_NO) from error
