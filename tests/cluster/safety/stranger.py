"""Another user of the machine, at work: what it tries is on its standard input, and how that went
on its standard output. It has to be started by root, whom it takes leave of first.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import grpc

from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc

NOBODY = 65534
_WITHIN_S = 5


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def import_all() -> None:
    """What is imported with the first call alone may lie where nobody else may read."""
    with grpc.insecure_channel("127.0.0.1:1"):
        pass


def opened(path: str) -> str:
    """Reads a file, lists a folder, connects to a socket."""
    try:
        if Path(path).is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
        elif Path(path).is_dir():
            list(Path(path).iterdir())
        else:
            Path(path).read_bytes()
    except PermissionError:
        return "refused"
    except OSError as error:
        return str(error)
    return "open"


def called(address: str, path: str, headers: list[list[str]]) -> str:
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(path)
        try:
            call(b"", timeout=_WITHIN_S, metadata=[tuple(one) for one in headers])
        except grpc.RpcError as error:
            return _code(error)
    return "answered"


def registered(address: str, host: str) -> str:
    """As a host of that name, which would take the calls of the real one."""
    opening = pb.HoldLeaseRequest()
    opening.open.host.name, opening.open.host.machine = f"hosts/{host}", "mainpc"
    opening.open.host.group, opening.open.host.address = host, "127.0.0.1"
    opening.open.host.port = 1
    opening.open.time_to_live.FromSeconds(3)
    with grpc.insecure_channel(address) as channel:
        try:
            next(rpc.RegistryServiceStub(channel).HoldLease(iter([opening]), timeout=_WITHIN_S))
        except grpc.RpcError as error:
            return _code(error)
    return "registered"


def _code(error: Any) -> str:
    return str(error.code().name)


def taken(port: int) -> str:
    """Listens where a host does, with all that the kernel offers to share a port."""
    for address in ("127.0.0.1", ""):
        with socket.socket() as rival:
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                rival.bind((address, port))
                rival.listen()
            except OSError:
                continue
            return "taken"
    return "refused"


def main() -> None:
    asked = json.load(sys.stdin)
    import_all()
    become_nobody()
    said = {
        "files": {path: opened(path) for path in asked["files"]},
        "calls": {str(one): called(*one) for one in asked["calls"]},
        "registered": registered(*asked["register"]),
        "ports": {str(port): taken(port) for port in asked["ports"]},
        "user": os.getuid(),
    }
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
