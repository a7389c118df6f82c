"""A real Consul that can be killed and goes on from its disk, with ACL and TLS where asked for."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tandemkit.supervise.processes import Command, Process, run_process, supervised_process
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder

_POLICIES = count()
_OFF = ("serf-wan", "dns", "grpc", "grpc-tls")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, and the CA that signed it."""

    ca_path: Path
    certificate_path: Path
    key_path: Path


class DurableConsul:
    """A server on its own that has on disk what it has answered. Elects itself in about 2 s."""

    def __init__(
        self, program: Path, folder: Path, root_token: str, identity: Identity | None
    ) -> None:
        ports = dict(zip(("http", "server", "serf-lan", "https"), free_ports(4), strict=True))
        self.http_port, self.https_port = ports["http"], ports["https"]
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.secure_url = f"https://127.0.0.1:{self.https_port}"
        self._headers = {"X-Consul-Token": root_token} if root_token else {}
        self._state = folder / "state"
        config = folder / "consul.json"
        config.write_text(json.dumps(_config(root_token, identity)))
        if identity is None:
            del ports["https"]
        listen = [f"-{name}-port={port}" for name, port in ports.items()]
        listen += [f"-{name}-port=-1" for name in _OFF]
        alone = ("-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-node=test")
        keep = (f"-data-dir={self._state}", f"-config-file={config}")
        argv = (str(program), "agent", *alone, *keep, "-disable-host-node-id", *listen)
        # What it is asked on the way out nobody needs: its state is on disk at all times.
        self._command = Command(argv, folder / "log", cwd=folder, grace_s=0.5)
        self._running = AsyncExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        """Returns once it leads itself."""
        started = supervised_process(self._command, ready=self._answers)
        self._process = await self._running.enter_async_context(started)

    async def kill(self) -> None:
        """As kill -9 does: nobody is told."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self.stop()

    async def forget(self) -> None:
        """Kills it and starts it empty: its indexes begin anew, far below those of before."""
        await self.kill()
        shutil.rmtree(self._state)
        await self.start()

    def freeze(self) -> None:
        """It holds its connections and answers nothing, until thawed."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        # The signal is on its way; the last thread may answer until it has arrived.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    async def stop(self) -> None:
        await self._running.aclose()

    async def ask(self, path: str, *, method: str = "GET", body: object = None) -> bytes:
        """The answer to its highest token."""
        content = None if body is None else json.dumps(body).encode()
        return await fetch(
            f"{self.url}/v1/{path}", method=method, body=content, headers=self._headers
        )

    async def token_for(self, rules: str) -> str:
        """A new token that may do what the rules of an ACL policy say, and no more."""
        policy = json.loads(
            await self.ask(
                "acl/policy", method="PUT", body={"Name": f"test-{next(_POLICIES)}", "Rules": rules}
            )
        )
        body = {"Policies": [{"ID": policy["ID"]}]}
        token = await self.ask("acl/token", method="PUT", body=body)
        return str(json.loads(token)["SecretID"])

    async def _answers(self) -> None:
        await self.ask("catalog/nodes?consistent")


@asynccontextmanager
async def durable_consul(
    *, root_token: str = "", identity: Identity | None = None
) -> AsyncIterator[DurableConsul]:
    """Skips where Consul is absent. With `root_token` whoever has none may nothing; with
    `identity` it serves HTTPS too, to clients of the same CA only.
    """
    program = demand("consul")["consul"]
    with short_folder() as folder:
        server = DurableConsul(program, folder, root_token, identity)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


async def consul_identities(folder: Path) -> Mapping[str, Identity]:
    """A CA of its own in `folder`, and what it signed: for the "server" and for a "client"."""
    program = str(demand("consul")["consul"])
    log = folder / "log"
    for argv in (("ca", "create"), ("cert", "create", "-server"), ("cert", "create", "-client")):
        command = Command((program, "tls", *argv), log, cwd=folder)
        assert await run_process(command) == 0, command.log_tail()
    return {
        role: Identity(
            folder / "consul-agent-ca.pem",
            folder / f"dc1-{role}-consul-0.pem",
            folder / f"dc1-{role}-consul-0-key.pem",
        )
        for role in ("server", "client")
    }


def _config(root_token: str, identity: Identity | None) -> dict[str, object]:
    # The lowest multiplier there is: how patient a server is before it stands for election.
    config: dict[str, object] = {"performance": {"raft_multiplier": 1}}
    if root_token:
        tokens = {"initial_management": root_token}
        config["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
    if identity is not None:
        files = {
            "ca_file": str(identity.ca_path),
            "cert_file": str(identity.certificate_path),
            "key_file": str(identity.key_path),
        }
        config["tls"] = {"https": {**files, "verify_incoming": True}}
    return config
