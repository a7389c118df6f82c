"""The edge's own listener: the one address, and what stands between it and the routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from envoy.config.core.v3.address_pb2 import Address, CidrRange
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket, WatchedDirectory
from envoy.config.core.v3.config_source_pb2 import ApiVersion, ConfigSource, PathConfigSource
from envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC as RULES
from envoy.config.rbac.v3.rbac_pb2 import Permission, Policy, Principal
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as connection,
)
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from tandemkit.mesh.edge import CORS_FILTER, http2
from tandemkit.mesh.listeners import FAULT_FILTER, TARGET, duration, packed

_CERTIFICATE = "edge"
_BUFFER_BYTES = 1 << 20
_STREAMS_MAX = 1000
_HEADERS_S, _IDLE_S = 10.0, 3600.0
# A client that is gone without a word is noticed within 35 s, however quiet its streams may be.
_PING_S, _PONG_S = 30.0, 5.0
# Whose headers may steer Envoy: an address that no caller has. Without any it would be all callers
# of private networks, loopback among them.
_NOBODY = connection.HttpConnectionManager.InternalAddressConfig(
    cidr_ranges=[CidrRange(address_prefix="255.255.255.255", prefix_len=UInt32Value(value=32))]
)


def listener_on(
    address: Address, source: ConfigSource, origins: Sequence[str], secret: Path | None
) -> Listener:
    """Plain, or with TLS where `secret` is the file of `secret_of`. Pages of `origins` may call."""
    manager = connection.HttpConnectionManager(
        stat_prefix="edge",
        codec_type=connection.HttpConnectionManager.AUTO,
        rds=connection.Rds(config_source=source, route_config_name=TARGET),
        http_filters=_filters(origins),
        # An answer looks as its host made it.
        server_header_transformation=connection.HttpConnectionManager.PASS_THROUGH,
        # Streams are quiet for as long as they like; routes end what has a deadline.
        stream_idle_timeout=Duration(),
        request_headers_timeout=duration(_HEADERS_S),
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=duration(_IDLE_S)),
        # Whoever calls decides neither on retries nor on timeouts by headers of Envoy's own.
        use_remote_address=BoolValue(value=True),
        internal_address_config=_NOBODY,
        generate_request_id=BoolValue(value=False),
        normalize_path=BoolValue(value=True),
    )
    manager.http2_protocol_options.CopyFrom(http2(_PING_S, _PONG_S))
    manager.http2_protocol_options.max_concurrent_streams.value = _STREAMS_MAX
    chain = FilterChain(
        filters=[
            Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=packed(manager)
            )
        ]
    )
    if secret is not None:
        chain.transport_socket.CopyFrom(_tls(secret))
    listener = Listener(
        name="edge",
        address=address,
        filter_chains=[chain],
        # Or a second one would share the port, and the calls, without a word.
        enable_reuse_port=BoolValue(value=False),
        per_connection_buffer_limit_bytes=UInt32Value(value=_BUFFER_BYTES),
    )
    listener.connection_balance_config.exact_balance.SetInParent()
    return listener


def _filters(origins: Sequence[str]) -> Iterator[connection.HttpFilter]:
    """In the order that a call takes. The fault filter does nothing until a route says so."""
    filters: tuple[tuple[str, Message], ...] = (
        ("envoy.filters.http.rbac", _no_strange_page(origins)),
        (CORS_FILTER, Cors()),
        ("envoy.filters.http.grpc_web", GrpcWeb()),
        (FAULT_FILTER, HTTPFault()),
        ("envoy.filters.http.router", Router(suppress_envoy_headers=True)),
    )
    for name, settings in filters:
        yield connection.HttpFilter(name=name, typed_config=packed(settings))


def _no_strange_page(origins: Sequence[str]) -> RBAC:
    """Browsers name the page that calls, also where its host's name was bent to our address."""
    page = Principal(header=HeaderMatcher(name="origin", present_match=True))
    known = [
        Principal(header=HeaderMatcher(name="origin", string_match=StringMatcher(exact=one)))
        for one in origins
    ]
    strange = [Principal(not_id=one) for one in known]
    principal = Principal(and_ids=Principal.Set(ids=[page, *strange]))
    policy = Policy(permissions=[Permission(any=True)], principals=[principal])
    return RBAC(rules=RULES(action=RULES.DENY, policies={"strange-page": policy}))


def _tls(secret: Path) -> TransportSocket:
    context = DownstreamTlsContext()
    context.common_tls_context.alpn_protocols.extend(("h2", "http/1.1"))
    file = PathConfigSource(path=str(secret))
    source = ConfigSource(path_config_source=file, resource_api_version=ApiVersion.V3)
    context.common_tls_context.tls_certificate_sds_secret_configs.append(
        SdsSecretConfig(name=_CERTIFICATE, sds_config=source)
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def secret_of(certificate: Path, key: Path) -> DiscoveryResponse:
    """What the file with the secret says. Both files are read again when something is moved into
    the certificate's folder, as tools that renew certificates do.
    """
    pair = TlsCertificate(
        certificate_chain=DataSource(filename=str(certificate)),
        private_key=DataSource(filename=str(key)),
        watched_directory=WatchedDirectory(path=str(certificate.parent)),
    )
    return DiscoveryResponse(resources=[packed(Secret(name=_CERTIFICATE, tls_certificate=pair))])
