"""Digest files as they stream by. Contract: tandem.polyglot.v1.FileDigestService. Written in Go:
services/polyglot/go/agents/filedigest.
"""

from __future__ import annotations

from tandem.fleet.v1.runtime_pb2 import RUNTIME_GO
from tandem.polyglot.config.v1 import file_digest_pb2 as cfg
from tandem.polyglot.v1 import file_digest_service_pb2 as pb
from tandemkit.hosting.agent import Agent

AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.FileDigestSettings, runtime=RUNTIME_GO)
