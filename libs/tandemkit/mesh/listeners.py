"""The one listener that every client asks for: what stands before the routes."""

from __future__ import annotations

from envoy.config.core.v3.config_source_pb2 import ConfigSource
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as connection,
)
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from tandemkit.mesh.policy import Fault

# Clients call `xds:///tandem`; listener and routes bear the same name.
TARGET = "tandem"
FAULT_FILTER, _ROUTER = "envoy.filters.http.fault", "envoy.filters.http.router"
_MILLIONTHS_PER_PERCENT = 10_000


def listener_of(source: ConfigSource, *, faulty: bool) -> Listener:
    """The fault filter costs each call a little, so it is there only while a fault is."""
    filters = [connection.HttpFilter(name=_ROUTER, typed_config=packed(Router()))]
    if faulty:
        fault = connection.HttpFilter(name=FAULT_FILTER, typed_config=packed(HTTPFault()))
        filters.insert(0, fault)
    routes = connection.Rds(config_source=source, route_config_name=TARGET)
    manager = connection.HttpConnectionManager(rds=routes, http_filters=filters)
    listener = Listener(name=TARGET)
    listener.api_listener.api_listener.CopyFrom(packed(manager))
    return listener


def fault_of(fault: Fault) -> HTTPFault:
    """What one route's calls meet."""
    share = FractionalPercent(
        numerator=round(fault.percent * _MILLIONTHS_PER_PERCENT),
        denominator=FractionalPercent.MILLION,
    )
    told = HTTPFault()
    if fault.abort_code:
        told.abort.CopyFrom(FaultAbort(grpc_status=fault.abort_code, percentage=share))
    if fault.delay_s:
        delay = FaultDelay(fixed_delay=duration(fault.delay_s), percentage=share)
        told.delay.CopyFrom(delay)
    return told


def duration(length_s: float) -> Duration:
    length = Duration()
    length.FromNanoseconds(round(length_s * 1e9))
    return length


def packed(message: Message) -> Packed:
    """The same bytes for the same message, which Any does not promise by itself."""
    box = Packed()
    box.Pack(message, deterministic=True)
    return box
