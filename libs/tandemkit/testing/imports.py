"""What a process has loaded once it has imported its agents."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType


def loaded_by(*modules: ModuleType) -> frozenset[str]:
    """The packages that a fresh process has behind importing these."""
    names = ", ".join(one.__name__ for one in modules)
    script = f"import sys, {names}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    variables = {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-c", script)
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())
