"""The limits of a host's process, as its command line says them."""

from __future__ import annotations

import logging
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from tandemkit.core import log
from tandemkit.supervise.confinement import CGROUPS, Limits, cgroups_at, confine, group_name

_LOGGER = logging.getLogger("tandemkit.hosting")


def add_options(parser: ArgumentParser) -> None:
    options = parser.add_argument_group("limits of the process")
    options.add_argument(
        "--memory-mib-max",
        type=_whole,
        default=0,
        help="most memory, by a cgroup where one may be made, else by rlimit (default: no limit)",
    )
    options.add_argument(
        "--cpus-max",
        type=_amount,
        default=0.0,
        help="most CPU time, in cores, by a cgroup where one may be made, else by affinity and "
        "niceness (default: no limit)",
    )
    options.add_argument(
        "--cpu-cores", type=_cores, default=(), help="cores to run on, as 0,2,3 (default: all)"
    )
    options.add_argument(
        "--cgroups",
        default=CGROUPS,
        help="where control groups are mounted; empty: use none (default %(default)s)",
    )


def confined(said: Namespace) -> tuple[str, ...]:
    """Holds this process to its limits, and says by what. Before anything else starts in it."""
    limits = Limits(said.memory_mib_max, said.cpus_max, said.cpu_cores)
    name = group_name(said.host_name or str(os.getpid()), said.state)
    told = confine(name, limits, cgroups_at(said.cgroups)).told
    if told:
        log.event(_LOGGER, logging.INFO, "host.confined", limits=told)
    return told


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ArgumentTypeError("a limit is not below 0")
    return value


def _amount(text: str) -> float:
    value = float(text)
    # As NaN is not, either.
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError("a limit is a number of cores")
    return value


def _cores(text: str) -> tuple[int, ...]:
    return tuple(_whole(one) for one in text.split(",")) if text else ()
