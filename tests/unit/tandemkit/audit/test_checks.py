"""What the checks of an audit find, and what they leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.tandemkit.audit.looking import looked, places, planted

# Put together here, or an audit of these tests would find them.
_KEY = "AKIA" + "Q3EGRZ7LW2XMOV5T"
_PHRASE = "correct" + "-horse-battery"
_LOOPS = {
    "thread": """\
        import time
        class Agent:
            def _health_check_loop(self):
                while self.running:
                    self.tell()
                    time.sleep(30)
        """,
    "task": """\
        import asyncio
        async def run(self):
            while True:
                await self.send_heartbeat()
                await asyncio.sleep(5)
        """,
    "event": """\
        def watch(stop, peers):
            while not stop.wait(10):
                for peer in peers:
                    peer.ping()
        """,
    "camel": """\
        import time
        def monitorHealth(self):
            while 1:
                time.sleep(1)
        """,
}


@pytest.mark.parametrize("text", _LOOPS.values(), ids=_LOOPS)
def test_a_loop_that_looks_after_health_is_found(tmp_path: Path, text: str) -> None:
    """By its function's name or by what it calls, paced by a sleep or by a wait."""
    assert len(places(planted(tmp_path, {"agent.py": text}), "health-loop")) == 1


def test_loops_about_other_things_are_left_alone(tmp_path: Path) -> None:
    """A loop that works, one that ends by itself, and a check that is no loop."""
    text = """\
        import time
        def work(queue):
            while True:
                queue.shipping()
                time.sleep(1)
        def healthy(tries):
            while tries < 3:
                time.sleep(1)
        def ping(peer):
            return peer.ping()
        def health(self):
            def inner():
                return None
            return inner
        """
    assert places(planted(tmp_path, {"agent.py": text}), "health-loop") == []


def test_transports_are_found_however_they_are_imported(tmp_path: Path) -> None:
    """A package once, a call wherever it stands, under any name."""
    text = """\
        import zmq
        from zmq.asyncio import Context
        import grpc.aio as wire
        from requests import post as send
        import socket
        channel = wire.insecure_channel(target)
        send(url)
        listener = socket.socket()
        """
    found = places(planted(tmp_path, {"agent.py": text}), "transport")
    assert sorted(found) == ["agent.py:1", "agent.py:6", "agent.py:7", "agent.py:8"]


def test_addresses_are_found_in_code_and_in_configuration(tmp_path: Path) -> None:
    """Private ones always, names and loopback with a port; comments and docstrings are no use."""
    code = '''\
        """Once at 192.168.100.16."""
        TWIN = "tcp://192.168.100.16:7220"
        BROKER = "amqp://broker:5672/"
        V6 = "http://[fd00::1]:80"
        LISTEN = "127.0.0.1"
        ANY = "0.0.0.0:80"
        HERE = "127.0.0.1:7000"
        VERSION = "1.2.3.4"
        EXAMPLE = "http://service.example:80 and 192.0.2.1:80"
        SCHEMA = "https://json-schema.org/draft/2020-12/schema"
        '''
    written = """\
        # 10.0.0.1 is where it was
        host: 10.0.0.2
        target: xds:///tandem
        """
    tree = planted(tmp_path, {"agent.py": code, "deploy/agents.yaml": written, "README.md": code})
    assert sorted(places(tree, "host")) == [
        "agent.py:2",
        "agent.py:3",
        "agent.py:4",
        "agent.py:7",
        "deploy/agents.yaml:2",
    ]


def test_spawns_are_found_and_groups_are_left_alone(tmp_path: Path) -> None:
    """What nobody waits for, but not what ends with its block."""
    text = """\
        import asyncio, subprocess, threading
        from concurrent.futures import ThreadPoolExecutor
        async def run():
            asyncio.create_task(work())
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
            with ThreadPoolExecutor() as pool:
                pool.submit(work)
        threading.Thread(target=run).start()
        subprocess.Popen(["sleep", "1"])
        """
    found = places(planted(tmp_path, {"agent.py": text}), "spawn")
    assert sorted(found) == ["agent.py:10", "agent.py:4", "agent.py:9"]


def test_a_secret_is_found_and_never_repeated(tmp_path: Path) -> None:
    """By its form, and by what it is assigned to; where it stands is all that is said."""
    tree = planted(
        tmp_path,
        {
            "agent.py": f'KEY = "{_KEY}"\n',
            "deploy/agents.yaml": f"password: {_PHRASE}\n",
            "clean.py": "password = read_secret()\n",
        },
    )
    found = looked(tree, ("secret",))
    assert [one.path for one in found] == ["agent.py", "deploy/agents.yaml"]
    assert not any(_KEY in str(one) or _PHRASE in str(one) for one in found)


def test_what_tools_made_and_what_others_wrote_is_not_looked_into(tmp_path: Path) -> None:
    """Environments, caches and packages of others are not what somebody migrates."""
    text = "import zmq\n"
    tree = planted(tmp_path, {f"{name}/x.py": text for name in ("node_modules", ".venv", "mine")})
    (tree / "linked.py").symlink_to(tree / "mine" / "x.py")
    assert places(tree, "transport") == ["mine/x.py:1"]
