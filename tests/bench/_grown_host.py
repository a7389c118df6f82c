"""A host of the agents whose modules it is told, as a process."""

from __future__ import annotations

import argparse
import importlib

from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--modules", nargs="+", required=True)
    said, arguments = parser.parse_known_args()
    serve_agents([importlib.import_module(name).AGENT for name in said.modules], arguments)
