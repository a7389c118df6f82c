"""What has one place only is caught everywhere else."""

from __future__ import annotations

import pytest

from tests.unit.tools.rules.planted import Rule, found
from tools.rules import habits

_KIT = "libs/tandemkit/rpc/server.py"
_TEST = "tests/unit/test_x.py"


@pytest.mark.parametrize(
    ("rule", "path", "text", "line"),
    [
        (habits.environment, _KIT, "import os\nos.environ['HOME']\n", 2),
        (habits.environment, _KIT, "import os as o\no.getenv('HOME')\n", 2),
        (habits.environment, "tools/x.py", "from os import environ\n", 1),
        (habits.environment, _KIT, "import os\nos.environb[b'HOME']\n", 2),
        (habits.environment, _KIT, "from os import getenv as g\ng('HOME')\n", 1),
        (habits.environment, _KIT, "import posix\nposix.environ[b'HOME']\n", 2),
        (habits.environment, _KIT, "from posix import environ\n", 1),
        (habits.environment, _KIT, "from dotenv import load_dotenv\n", 1),
        (habits.environment, _KIT, "import click\nclick.option('--x', envvar='X')\n", 2),
        (habits.environment, _KIT, "x = 1\nopen('/proc/self/environ', 'rb')\n", 2),
        (habits.clocks, _TEST, "import time\ntime.sleep(1)\n", 2),
        (habits.clocks, _TEST, "from asyncio import sleep\nsleep(0.1)\n", 2),
        (habits.clocks, _TEST, "import datetime as d\nd.datetime.now(d.UTC)\n", 2),
        (habits.clocks, _KIT, "import time\ntime.monotonic()\n", 2),
        (habits.randomness, _TEST, "import random\nrandom.random()\n", 2),
        (habits.randomness, _TEST, "import random\nrandom.Random()\n", 2),
        (habits.randomness, _TEST, "from uuid import uuid4\nuuid4()\n", 2),
        (habits.catch_alls, _KIT, "try:\n    x()\nexcept Exception:\n    pass\n", 3),
        (habits.catch_alls, _KIT, "try:\n    x()\nexcept:\n    pass\n", 3),
        (habits.catch_alls, _TEST, "try:\n    x()\nexcept (OSError, BaseException):\n    y()\n", 3),
        (habits.catch_alls, _KIT, "from contextlib import suppress\nsuppress(Exception)\n", 2),
        (habits.prints, _KIT, "print('x')\n", 1),
        (habits.prints, "services/text/summarize.py", "def f():\n    print(1)\n", 2),
        (habits.log_events, _KIT, "logger.info(f'call {x}')\n", 1),
        (habits.log_events, _KIT, "self._log.warning('Call failed')\n", 1),
        (habits.log_events, _KIT, "log.error('rpc.' + kind)\n", 1),
        (
            habits.log_events,
            _KIT,
            "from tandemkit.core import log\nlog.event(_LOGGER, 20, f'agent.{x}')\n",
            2,
        ),
    ],
)
def test_a_broken_habit_is_caught(rule: Rule, path: str, text: str, line: int) -> None:
    """Each spelling is found on its line."""
    (finding,) = found(rule, path, text)
    assert finding.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (habits.environment, "libs/tandemkit/core/environment.py", "import os\nos.environ['X']\n"),
        (habits.clocks, "libs/tandemkit/core/clock.py", "import time\ntime.monotonic()\n"),
        (habits.clocks, _TEST, "import asyncio\nasyncio.sleep(0)\n"),
        (habits.clocks, _TEST, "clock.sleep(5)\nclock.now()\n"),
        (habits.clocks, "tests/bench/x.py", "import time\ntime.perf_counter()\n"),
        (habits.randomness, _TEST, "import random\nrandom.Random(7).random()\n"),
        (habits.randomness, _TEST, "secrets.path.name\nrandom.choice(x)\n"),
        (
            habits.catch_alls,
            "libs/tandemkit/supervise/tasks.py",
            "try:\n    x()\nexcept Exception:\n    y()\n",
        ),
        (habits.catch_alls, _KIT, "try:\n    x()\nexcept OSError:\n    y()\n"),
        (habits.catch_alls, _KIT, "try:\n    x()\nexcept BaseException:\n    undo()\n    raise\n"),
        (habits.prints, "tools/x.py", "print('x')\n"),
        (habits.log_events, _KIT, "logger.info('rpc.failed', extra={'rpc': name})\n"),
        (
            habits.log_events,
            _KIT,
            "from tandemkit.core import log\nlog.event(_LOGGER, 20, 'agent.unwell', agent=name)\n",
        ),
        (habits.log_events, _KIT, "from math import log\nlog(f(x))\n"),
    ],
)
def test_the_allowed_place_passes(rule: Rule, path: str, text: str) -> None:
    """The one place, and what only looks alike, are not found."""
    assert found(rule, path, text) == []
