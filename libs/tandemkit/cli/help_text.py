"""What `./tandem --help` says besides the list of commands."""

from __future__ import annotations

HELP = """Tandem: typed agents over gRPC that keep answering.

\b
Examples:
  ./tandem doctor               is everything here?
  ./tandem up                   serve the fleet on this machine, until Ctrl-C
  ./tandem up -d                the same, until ./tandem down
  ./tandem plan --profile mainpc   what would run where
  ./tandem status --watch       how it is, on every machine
  ./tandem agents               what serves, and where
  ./tandem logs -f utility-files
  ./tandem restart utility-files --reason "a new disk"
  ./tandem checkpoint           keep all that must come back; ./tandem restore NAME
  eval "$(./tandem env)"        then any gRPC client calls xds:///tandem
  ./tandem call utility-toolbox/MeasureText '{"text": "hello"}'
  ./tandem mcp                  the fleet's tools for an assistant that starts this
  ./tandem policy weigh utility-toolbox v1=90 v2=10
  ./tandem why 4bf92f3577b34da6a3ce929d0e0e4736   what decided where a call went
  ./tandem clients go ../tandem-go
  ./tandem doctor --json | jq '.parts[] | select(.state == "missing")'

\b
Every command but mcp takes --json: one JSON value on stdout, also for a failure; a line each for
what goes on.

\b
Exit codes:
  0    done
  1    the answer is no: something does not serve or is missing, a check or a call failed
  2    it cannot be done as asked: wrong usage, no network, disk full, ...
  130  interrupted

\b
Environment:
  TANDEM_HOME      where agents keep their state (~/.local/state/tandem)
  XDG_CACHE_HOME   where environments, stubs and tools are kept (~/.cache)
  TANDEM_REQUIRE   parts that tests must find, comma-separated; all (but slow ones), slow
"""
