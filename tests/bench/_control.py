"""The process that may ask a control plane for `xds:///tandem`: gRPC reads where that is from the
environment, once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence

from tandemkit.core.environment import Environment
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.testing.control import MACHINE


def run_again(script: str, arguments: Sequence[str]) -> int:
    """Runs `script` in a process that knows a control plane: `--control` says where it is to be."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/control.sock"
        told = bootstrap(Node(MACHINE, MACHINE), [address])
        environment = {**Environment.read().variables, VARIABLE: told}
        argv = [sys.executable, script, *arguments, "--control", address]
        return subprocess.run(argv, env=environment, check=False).returncode
