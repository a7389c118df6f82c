"""Ruff as it is today: Pants 2.17's own backend calls `ruff FILES`, which newer Ruffs refuse."""

from dataclasses import dataclass
from typing import Any, Iterable, Tuple

from pants.backend.python.lint.ruff import skip_field, subsystem
from pants.backend.python.lint.ruff.subsystem import Ruff, RuffFieldSet
from pants.backend.python.util_rules import pex
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess
from pants.core.goals.fix import FixResult, FixTargetsRequest
from pants.core.goals.fmt import FmtResult, FmtTargetsRequest
from pants.core.goals.lint import LintResult, LintTargetsRequest
from pants.core.util_rules.config_files import ConfigFiles, ConfigFilesRequest
from pants.core.util_rules.partitions import PartitionerType
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.fs import Digest, MergeDigests, Snapshot
from pants.engine.process import FallibleProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.util.logging import LogLevel


class RuffLint(LintTargetsRequest):
    field_set_type = RuffFieldSet
    tool_subsystem = Ruff
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION


class RuffFix(FixTargetsRequest):
    field_set_type = RuffFieldSet
    tool_subsystem = Ruff
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION
    tool_name = "ruff check --fix"


class RuffFormat(FmtTargetsRequest):
    field_set_type = RuffFieldSet
    tool_subsystem = Ruff
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION
    tool_name = "ruff format"


@dataclass(frozen=True)
class RuffRun:
    argv: Tuple[str, ...]
    snapshot: Snapshot


@rule
async def run_ruff(run: RuffRun, ruff: Ruff) -> FallibleProcessResult:
    tool, configs = await MultiGet(
        Get(VenvPex, PexRequest, ruff.to_pex_request()),
        Get(ConfigFiles, ConfigFilesRequest, ruff.config_request(run.snapshot.dirs)),
    )
    inputs = await Get(Digest, MergeDigests((run.snapshot.digest, configs.snapshot.digest)))
    result = await Get(
        FallibleProcessResult,
        VenvPexProcess(
            tool,
            argv=(*run.argv, "--no-cache", "--force-exclude", *ruff.args, *run.snapshot.files),
            input_digest=inputs,
            output_files=run.snapshot.files,
            description=" ".join(("ruff", *run.argv)),
            level=LogLevel.DEBUG,
        ),
    )
    if result.exit_code > 1:  # 1: there are findings; 2: ruff itself failed
        raise RuntimeError(f"ruff {run.argv[0]} failed:\n{result.stderr.decode()}")
    return result


@rule(desc="Lint with ruff", level=LogLevel.DEBUG)
async def lint(request: RuffLint.Batch[RuffFieldSet, Any]) -> LintResult:
    sources = await Get(SourceFiles, SourceFilesRequest(f.source for f in request.elements))
    result = await Get(FallibleProcessResult, RuffRun(("check",), sources.snapshot))
    return LintResult.create(request, result)


@rule(desc="Fix with ruff", level=LogLevel.DEBUG)
async def fix(request: RuffFix.Batch) -> FixResult:
    result = await Get(FallibleProcessResult, RuffRun(("check", "--fix"), request.snapshot))
    return await FixResult.create(request, result)


@rule(desc="Format with ruff", level=LogLevel.DEBUG)
async def fmt(request: RuffFormat.Batch) -> FmtResult:
    result = await Get(FallibleProcessResult, RuffRun(("format",), request.snapshot))
    return await FmtResult.create(request, result)


def rules() -> Iterable[object]:
    return [
        *collect_rules(),
        *RuffLint.rules(),
        *RuffFix.rules(),
        *RuffFormat.rules(),
        *skip_field.rules(),
        *subsystem.rules(),
        *pex.rules(),
    ]
