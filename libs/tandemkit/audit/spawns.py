"""Tasks, threads and processes that somebody starts by himself, and that nobody supervises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tandemkit.audit.syntax import Module

_STARTERS = frozenset(
    {
        "_thread.start_new_thread",
        "asyncio.Task",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "asyncio.create_task",
        "asyncio.ensure_future",
        "asyncio.run_coroutine_threadsafe",
        "asyncio.tasks.Task",
        "multiprocessing.Manager",
        "multiprocessing.Pool",
        "multiprocessing.Process",
        "multiprocessing.get_context",
        "multiprocessing.pool.Pool",
        "multiprocessing.pool.ThreadPool",
        "os.fork",
        "os.forkpty",
        "os.popen",
        "os.posix_spawn",
        "os.posix_spawnp",
        "os.system",
        "pty.fork",
        "pty.spawn",
        "subprocess.Popen",
        "threading.Thread",
        "threading.Timer",
    }
)
# os.spawnl, os.spawnvpe and the like.
_SPAWN = re.compile(r"os\.spawn[lv]p?e?")
# What lives no longer than the `with` that it is opened in.
_POOLS = frozenset(
    {
        "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
    }
)
_METHODS = frozenset(
    {
        "create_task",
        "ensure_future",
        "forkpty",
        "run_coroutine_threadsafe",
        "subprocess_exec",
        "subprocess_shell",
    }
)


def starts(module: Module) -> Iterator[tuple[int, str]]:
    """Line and name of each call, or base class, that starts something."""
    groups, pools = _task_groups(module), _short_lived(module)
    for call in module.of(ast.Call):
        name = module.qualified(call.func)
        owner, _, method = name.rpartition(".")
        is_group = method == "create_task" and owner in groups
        # `loop().create_task(...)` has no dotted name, only the attribute.
        attribute = call.func.attr if isinstance(call.func, ast.Attribute) else method
        is_loose_pool = name in _POOLS and call not in pools
        if (
            name in _STARTERS
            or _SPAWN.fullmatch(name)
            or is_loose_pool
            or (attribute in _METHODS and not is_group)
        ):
            yield call.lineno, name or attribute
    for definition in module.of(ast.ClassDef):
        for base in definition.bases:
            if module.qualified(base) in _STARTERS | _POOLS:
                yield definition.lineno, module.qualified(base)


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


def _short_lived(module: Module) -> frozenset[ast.expr]:
    """What `with` opens: pools end with their block."""
    return frozenset(item.context_expr for block in module.of(ast.With) for item in block.items)
