"""Tasks, threads and processes without a supervisor are caught."""

from __future__ import annotations

import pytest

from tests.unit.tools.rules.planted import found
from tools.rules import spawning

_PATH = "libs/tandemkit/rpc/server.py"


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\nasyncio.create_task(work())\n",
        "from asyncio import create_task as start\nstart(work())\n",
        "import asyncio\nasyncio.get_running_loop().create_task(work())\n",
        "import asyncio\nasyncio.ensure_future(work())\n",
        "import asyncio\nasyncio.create_subprocess_exec('ls')\n",
        "import threading as t\nt.Thread(target=work).start()\n",
        "from threading import Thread\nclass Worker(Thread): ...\n",
        "import subprocess\nsubprocess.Popen(['ls'])\n",
        "import os\nos.fork()\n",
        "import os\nos.spawnlp(os.P_NOWAIT, 'ls', 'ls')\n",
        "import os\nos.posix_spawn('/bin/ls', ['ls'], {})\n",
        "import os\nos.popen('ls')\n",
        "import pty\npty.fork()\n",
        "import asyncio\nasyncio.run_coroutine_threadsafe(work(), loop)\n",
        "import asyncio\nasyncio.Task(work())\n",
        "import asyncio\nasyncio.get_running_loop().subprocess_exec(Protocol, 'ls')\n",
        "import threading\nthreading.Timer(1, work).start()\n",
        "import multiprocessing\nmultiprocessing.Process(target=work).start()\n",
        "from multiprocessing import Pool\nwith Pool(2) as pool: pool.map(work, ())\n",
        "import multiprocessing as m\nm.get_context('spawn').Process(target=work).start()\n",
        "from concurrent.futures import ThreadPoolExecutor\nself.pool = ThreadPoolExecutor(4)\n",
        "from concurrent import futures\npool = futures.ProcessPoolExecutor()\n",
        "from concurrent.futures import ThreadPoolExecutor\nclass Pool(ThreadPoolExecutor): ...\n",
    ],
)
def test_m022_a_bare_start_is_caught(text: str) -> None:
    """However it is imported or spelled, a start outside the supervisor is found on its line."""
    (finding,) = found(spawning.check, _PATH, text)
    assert finding.startswith(f"{_PATH}:2: supervised: ")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("libs/tandemkit/supervise/tasks.py", "import asyncio\nasyncio.create_task(work())\n"),
        (_PATH, "import subprocess\nsubprocess.run(['ls'], check=True)\n"),
        (_PATH, "import asyncio\nasyncio.to_thread(work)\n"),
        (
            _PATH,
            "from concurrent import futures\nwith futures.ThreadPoolExecutor(4) as p: p.map(f)\n",
        ),
        (_PATH, "scope.spawn('sweep', sweep())\n"),
        (
            _PATH,
            "import asyncio\nasync with asyncio.TaskGroup() as g:\n    g.create_task(x())\n",
        ),
    ],
)
def test_a_supervised_start_passes(path: str, text: str) -> None:
    """The supervisor, calls that wait, and groups that end with their block may start things."""
    assert found(spawning.check, path, text) == []
