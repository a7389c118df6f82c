"""A Consul server of the fleet's own: on loopback, closed to whoever shows no token but for what
the mesh says to everybody, with its UI.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tandemkit.core.clock import Clock
from tandemkit.machine.home import Home, write_at_once
from tandemkit.machine.parts.secret import kept_secret

NAME = "consul"
# By Consul's own names: HTTP API and UI; servers among each other; gossip.
HTTP, SERVER, GOSSIP = "http", "server", "serf_lan"
PORTS = (HTTP, SERVER, GOSSIP)
_OFF = ("serf_wan", "dns", "grpc", "grpc_tls")
_LOOK_S, _ANSWER_S = 0.2, 2.0
# Consul's name of whoever shows no token.
_ANYBODY = "00000000-0000-0000-0000-000000000002"
_READERS = "tandem-readers"
# Who serves where, and whether well: what reflection and health say as well. No keys, no sessions.
_MAY_READ = """
service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
"""


def token_path(home: Path) -> Path:
    """The token that may everything: control's."""
    return home / NAME / "token"


def url(ports: Mapping[str, int]) -> str:
    """Where its API and its UI are."""
    return f"http://127.0.0.1:{ports[HTTP]}"


def argv(program: str, ports: Mapping[str, int], home: Home) -> tuple[str, ...]:
    """Its command line. The token stands in a file that only the user can read."""
    folder = home.folder / NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = folder / "consul.json"
    said = _config(folder, ports, kept_secret(token_path(home.folder)))
    write_at_once(config, json.dumps(said, indent=2).encode())
    return (program, "agent", f"-config-file={config}")


def _config(folder: Path, ports: Mapping[str, int], token: str) -> dict[str, object]:
    return {
        "server": True,
        "bootstrap_expect": 1,
        "node_name": "tandem",
        "bind_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "data_dir": str(folder / "data"),
        "disable_host_node_id": True,
        "disable_update_check": True,
        "ports": {**ports, **dict.fromkeys(_OFF, -1)},
        "ui_config": {"enabled": True},
        "connect": {"enabled": False},
        # One server alone stands for no election that patience would help.
        "performance": {"raft_multiplier": 1},
        "log_level": "warn",
        "acl": {
            "enabled": True,
            "default_policy": "deny",
            "tokens": {"initial_management": token, "agent": token},
        },
    }


class ConsulWatch:
    """Looks whether it leads itself and knows who may read."""

    def __init__(self, ports: Mapping[str, int], home: Home, clock: Clock) -> None:
        self._port, self._token_path = ports[HTTP], token_path(home.folder)
        self._clock = clock

    async def until_it_answers(self) -> None:
        """Returns once it takes writes."""
        while not await asyncio.to_thread(self._lets_anybody_read):
            await self._clock.sleep(_LOOK_S)

    def _lets_anybody_read(self) -> bool:
        """Three requests, for which the supervisor is not made to import a whole client."""
        policy = {"Name": _READERS, "Description": "who serves where", "Rules": _MAY_READ}
        anybody = {"AccessorID": _ANYBODY, "Policies": [{"Name": _READERS}]}
        try:
            if self._asked("GET", f"/v1/acl/policy/name/{_READERS}") != HTTPStatus.OK:
                self._asked("PUT", "/v1/acl/policy", policy)
            return self._asked("PUT", f"/v1/acl/token/{_ANYBODY}", anybody) == HTTPStatus.OK
        except (OSError, HTTPException):
            # It has just started: no leader yet, or not read its own tokens.
            return False

    def _asked(self, method: str, path: str, body: object = None) -> int:
        token = self._token_path.read_text().strip()
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"X-Consul-Token": token})
            return connection.getresponse().status
