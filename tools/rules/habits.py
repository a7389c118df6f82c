"""What has one place only: the environment, the clock, catch-alls, print, names of events."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tandemkit.audit.finding import Finding
from tandemkit.audit.syntax import Module
from tools.rules.tree import Tree

# build-support makes the environment that the kit is imported from, so it cannot ask the kit.
_ENVIRONMENT_ALLOWED = ("libs/tandemkit/core/environment.py", "build-support/")
_LOG = "libs/tandemkit/core/log.py"
_CLOCK = "libs/tandemkit/core/clock.py"
# The boundary of every call, and the supervisor of everything else that runs.
_CATCH_ALL_ALLOWED = ("libs/tandemkit/rpc/calls.py", "libs/tandemkit/supervise/")
_PRINT_ALLOWED = (
    "libs/tandemkit/cli/",
    "tools/",
    "tests/bench/",
    "pants-plugins/",
    "build-support/",
)

_ENVIRONMENT_NAMES = frozenset(
    f"{module}.{name}"
    for module in ("os", "posix", "nt")
    for name in ("environ", "environb", "getenv", "getenvb", "putenv", "unsetenv")
)
# Packages that read it for others, and the words by which click does.
_ENVIRONMENT_READERS = frozenset({"decouple", "dotenv", "environ", "environs"})
_ENVIRONMENT_WORDS = frozenset({"envvar", "auto_envvar_prefix"})
_ENVIRONMENT_FILE = re.compile(r"/proc/.*/environ")
# The one that hands its own on to the process that it starts again, without the kit.
_ENVIRONMENT_FILE_ALLOWED = ("libs/tandemkit/supervise/keeper.py", "libs/tandemkit/testing/")
_CLOCKS = frozenset(
    {
        "asyncio.sleep",
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.sleep",
        "time.time",
        "time.time_ns",
    }
)
_SEEDED = frozenset({"random.Random", "random.SystemRandom"})
_UNSEEDED = re.compile(r"random\.[a-z]\w*|uuid\.uuid[14]|secrets\.\w+|os\.urandom")
_LOGGERS = re.compile(r"(^|\.|_)(log|logger)$", re.IGNORECASE)
_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


def environment(tree: Tree) -> Iterator[Finding]:
    """The process environment is read in one file."""
    for module in tree.modules:
        if module.path.startswith(_ENVIRONMENT_ALLOWED):
            continue
        used = [(node.lineno, module.qualified(node)) for node in module.of(ast.Attribute)] + [
            (item.line, item.origin) for item in module.imports
        ]
        for line, name in sorted({*used, *_reading_besides(module)}):
            if name in _ENVIRONMENT_NAMES | _ENVIRONMENT_READERS | _ENVIRONMENT_WORDS:
                message = f"`{name}` outside tandemkit.core.environment"
                yield Finding(module.path, line, "environment", message)


def _reading_besides(module: Module) -> Iterator[tuple[int, str]]:
    """By a package, by an option of a command, or out of the kernel's hands."""
    for item in module.imports:
        yield item.line, item.origin.split(".")[0]
    for call in module.of(ast.Call):
        yield from ((call.lineno, word.arg) for word in call.keywords if word.arg)
    is_kit = module.path.startswith(("libs/", "services/"))
    if is_kit and not module.path.startswith(_ENVIRONMENT_FILE_ALLOWED):
        for text in module.of(ast.Constant):
            if isinstance(text.value, str) and _ENVIRONMENT_FILE.fullmatch(text.value):
                yield text.lineno, "posix.environ"


def clocks(tree: Tree) -> Iterator[Finding]:
    """Time comes from a `Clock`. Benchmarks measure it; `sleep(0)` only yields the loop."""
    for module in tree.modules_under("libs/", "services/", "tests/"):
        if module.path == _CLOCK or module.path.startswith("tests/bench/"):
            continue
        for call in module.of(ast.Call):
            name = module.qualified(call.func)
            if name in _CLOCKS and not _is_bare_yield(name, call):
                message = f"`{name}` reads or spends real time; take a Clock"
                yield Finding(module.path, call.lineno, "clock", message)


def _is_bare_yield(name: str, call: ast.Call) -> bool:
    argument = call.args[0] if len(call.args) == 1 else None
    return name == "asyncio.sleep" and isinstance(argument, ast.Constant) and argument.value == 0


def randomness(tree: Tree) -> Iterator[Finding]:
    """A test that fails must fail again."""
    for module in tree.modules_under("tests/"):
        for call in module.of(ast.Call):
            name = module.qualified(call.func)
            is_imported = name.split(".")[0] in {
                origin.split(".")[0] for origin in module.aliases.values()
            }
            unseeded = _UNSEEDED.fullmatch(name) or (name in _SEEDED and not call.args)
            if unseeded and is_imported:
                message = f"`{name}` is unseeded; a failure could not be repeated"
                yield Finding(module.path, call.lineno, "randomness", message)


def catch_alls(tree: Tree) -> Iterator[Finding]:
    """Whatever is not understood reaches the one boundary that maps it."""
    for module in tree.modules:
        if module.path.startswith(_CATCH_ALL_ALLOWED):
            continue
        for clause in module.of(ast.ExceptHandler):
            if _is_catch_all(module, clause.type) and not _only_cleans_up(clause):
                yield _caught(module, clause.lineno)
        for call in module.of(ast.Call):
            is_suppress = module.qualified(call.func) == "contextlib.suppress"
            if is_suppress and any(_is_catch_all(module, argument) for argument in call.args):
                yield _caught(module, call.lineno)


def _is_catch_all(module: Module, caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_catch_all(module, item) for item in caught.elts)
    return caught is None or module.qualified(caught) in {"Exception", "BaseException"}


def _only_cleans_up(clause: ast.ExceptHandler) -> bool:
    """Whatever happened is undone and goes on: nothing is swallowed."""
    last = clause.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _caught(module: Module, line: int) -> Finding:
    message = "catches everything; only tandemkit.rpc.calls and tandemkit.supervise may"
    return Finding(module.path, line, "catch-all", message)


def prints(tree: Tree) -> Iterator[Finding]:
    """Standard output belongs to the command line."""
    for module in tree.modules:
        if module.path.startswith(_PRINT_ALLOWED):
            continue
        for call in module.of(ast.Call):
            if module.qualified(call.func) == "print":
                yield Finding(module.path, call.lineno, "print", "print outside the command line")


def log_events(tree: Tree) -> Iterator[Finding]:
    """An event is a constant dotted name; what varies goes into fields."""
    for module in tree.modules_under("libs/", "services/"):
        if module.path == _LOG:
            continue
        for call in module.of(ast.Call):
            event = _event(module, call)
            if event is not None and not _is_event_name(event):
                message = "a log event is a constant dotted name, with fields for the rest"
                yield Finding(module.path, call.lineno, "log-event", message)


def _event(module: Module, call: ast.Call) -> ast.expr | None:
    """What a call logs: the third argument of the kit's `log.event`, the first of a logger's."""
    name = module.qualified(call.func)
    if name == "tandemkit.core.log.event":
        return call.args[2] if len(call.args) > 2 else None
    owner, _, level = name.rpartition(".")
    is_logging = level in _LEVELS and _LOGGERS.search(owner)
    return call.args[0] if is_logging and call.args else None


def _is_event_name(event: ast.expr) -> bool:
    """A name passed on is judged where it was written down."""
    if isinstance(event, ast.Name | ast.Attribute):
        return True
    constant = event.value if isinstance(event, ast.Constant) else None
    return isinstance(constant, str) and _EVENT.fullmatch(constant) is not None
