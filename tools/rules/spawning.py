"""Tasks, threads and processes have a supervisor: nobody else starts one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.rules.syntax import Module
from tools.rules.tree import Finding, Tree

RULE = "supervised"

_STARTERS = frozenset(
    {
        "_thread.start_new_thread",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "asyncio.create_task",
        "asyncio.ensure_future",
        "multiprocessing.Process",
        "os.fork",
        "os.posix_spawn",
        "os.posix_spawnp",
        "os.system",
        "subprocess.Popen",
        "threading.Thread",
        "threading.Timer",
    }
)
_METHODS = frozenset({"create_task", "ensure_future", "subprocess_exec", "subprocess_shell"})
_SUPERVISOR = "libs/tandemkit/supervise/"


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for calls (and base classes) that start something outside tandemkit.supervise."""
    for module in tree.modules:
        if not module.path.startswith(_SUPERVISOR):
            yield from _starts(module)


def _starts(module: Module) -> Iterator[Finding]:
    groups = _task_groups(module)
    for call in module.of(ast.Call):
        name = module.qualified(call.func)
        owner, _, method = name.rpartition(".")
        is_group = method == "create_task" and owner in groups
        # `loop().create_task(...)` has no dotted name, only the attribute.
        attribute = call.func.attr if isinstance(call.func, ast.Attribute) else method
        if name in _STARTERS or (attribute in _METHODS and not is_group):
            yield _finding(module, call.lineno, name or attribute)
    for definition in module.of(ast.ClassDef):
        for base in definition.bases:
            if module.qualified(base) in _STARTERS:
                yield _finding(module, definition.lineno, module.qualified(base))


def _task_groups(module: Module) -> frozenset[str]:
    """Names bound by `async with asyncio.TaskGroup() as name`: such tasks end with their block."""
    return frozenset(
        module.qualified(item.optional_vars)
        for block in module.of(ast.AsyncWith)
        for item in block.items
        if item.optional_vars is not None
        and isinstance(item.context_expr, ast.Call)
        and module.qualified(item.context_expr.func) == "asyncio.TaskGroup"
    )


def _finding(module: Module, line: int, name: str) -> Finding:
    return Finding(module.path, line, RULE, f"`{name}` outside tandemkit.supervise")
