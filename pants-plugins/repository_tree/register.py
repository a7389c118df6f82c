"""`repository_tree()`: the whole working tree as files, for tests that judge the repository.

A `files(sources=["**/*"])` would do, but it would own every file, and `tailor --check` would then
never again find one without a target. The tree lies under `repository/` in a test's sandbox, so
that what the sandbox generates beside it is not mistaken for something committed.
"""

from typing import Iterable

from pants.core.target_types import FileSourceField
from pants.engine.fs import AddPrefix, PathGlobs, Snapshot
from pants.engine.rules import Get, collect_rules, rule
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    GeneratedSources,
    GenerateSourcesRequest,
    MultipleSourcesField,
    Target,
)
from pants.engine.unions import UnionRule

FOLDER = "repository"


class RepositoryTreeField(MultipleSourcesField):
    """There for its type alone: what makes Pants call the rule below."""

    alias = "_sources"
    uses_source_roots = False
    expected_num_files = 0


class RepositoryTree(Target):
    alias = "repository_tree"
    core_fields = (*COMMON_TARGET_FIELDS, RepositoryTreeField)
    help = "Every file of the repository that git does not ignore, under `repository/`."


class GatherTreeRequest(GenerateSourcesRequest):
    input = RepositoryTreeField
    output = FileSourceField


@rule(desc="Gather the repository's files")
async def gather_tree(_: GatherTreeRequest) -> GeneratedSources:
    # The lock is there for Pants and not for git: see `pants_ignore` in pants.toml.
    tree = await Get(Snapshot, PathGlobs(["**", "!build-support/*.lock"]))
    return GeneratedSources(await Get(Snapshot, AddPrefix(tree.digest, FOLDER)))


def target_types() -> Iterable[type[Target]]:
    return [RepositoryTree]


def rules() -> Iterable[object]:
    return [*collect_rules(), UnionRule(GenerateSourcesRequest, GatherTreeRequest)]
