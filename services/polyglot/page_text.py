"""Readable text and links of pages. Contract: tandem.polyglot.v1.PageTextService. Written for Node:
services/polyglot/node/src/agents/page_text.
"""

from __future__ import annotations

from tandem.fleet.v1.runtime_pb2 import RUNTIME_NODE
from tandem.polyglot.config.v1 import page_text_pb2 as cfg
from tandem.polyglot.v1 import page_text_service_pb2 as pb
from tandemkit.hosting.agent import Agent

AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.PageTextSettings, runtime=RUNTIME_NODE)
