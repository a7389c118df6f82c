"""What others of the same user can read of a process that knows secrets."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from tandemkit.core import dumps
from tandemkit.telemetry.process import Usage

_NOBODY = 65534
_SET_DUMPABLE = 4
# A user's own program, and beside it another one that is guarded, or not.
_SCRIPT = f"""\
import ctypes, os, sys
import {dumps.__name__} as dumps
from {Usage.__module__} import Usage
if os.geteuid() == 0:
    os.setgid({_NOBODY})
    os.setuid({_NOBODY})
    # Who changes users is closed to all, until it says otherwise.
    ctypes.CDLL(None).prctl({_SET_DUMPABLE}, 1, 0, 0, 0)
said, saying = os.pipe()
until, done = os.pipe()
child = os.fork()
if not child:
    os.close(done)
    if sys.argv[1] == "guarded":
        dumps.forbid_looking()
    found = Usage.now()
    os.write(saying, str(found.memory_bytes > 0 and found.open_fds > 0).encode())
    os.read(until, 1)
    os._exit(0)
print(os.read(said, 9).decode())
for name in ("environ", "mem", "maps"):
    try:
        with open(f"/proc/{{child}}/{{name}}", "rb") as file:
            if name != "mem":
                file.read(1)
        print(name, "open")
    except PermissionError:
        print(name, "closed")
print(open(f"/proc/{{child}}/limits").read().split("Max core file size")[1].split()[0])
os.close(done)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize(("how", "said"), [("guarded", "closed"), ("open", "open")])
def test_only_root_looks_into_a_guarded_process(how: str, said: str) -> None:
    """Another program of its user does not, and its own accounts stay readable to itself."""
    argv = [sys.executable, "-c", _SCRIPT, how]
    variables = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True)
    well, *lines = done.stdout.split("\n")
    assert well == "True"
    assert lines[:3] == [f"{name} {said}" for name in ("environ", "mem", "maps")]
    soft, _hard = resource.getrlimit(resource.RLIMIT_CORE)
    own = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    assert lines[3] == ("1" if how == "guarded" else own)
