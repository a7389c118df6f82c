"""Files that may not be here: generated, somebody else's, or bound to one machine or one host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tandemkit.audit.finding import Finding
from tandemkit.core.names import FAMILY_OF_OTHERS
from tools.rules.tree import Tree

_STUB = re.compile(r"_pb2(_grpc)?\.pyi?$|\.pb\.(go|cc|h)$|_pb\.(js|d\.ts)$")
_FOREIGN_FOLDER = re.compile(
    r"(^|/)(vendor|vendored|_vendor|third_party|3rdparty|node_modules|site-packages)/"
)
# What is written here of others' protocols are facts in our words.
_OURS = "|".join(f"{package.replace('.', '/')}/" for package in ("tandem", *FAMILY_OF_OTHERS))
_FOREIGN_PROTO = re.compile(rf"^protos/(?!{_OURS}|BUILD$|baseline\.binpb$)")
_PACKED = re.compile(r"\.(whl|egg|jar|zip|tar|tgz|gz|xz|bz2|7z|so|dll|dylib|a|o|exe|pex|min\.js)$")
_FOREIGN_NOTICE = re.compile(
    r"^\W*(copyright\s+(\(c\)|©|[0-9]{4})|spdx-license-identifier|licensed under the)",
    re.IGNORECASE,
)
_NOTICES = frozenset({"LICENSE", "NOTICE"})

_PINNED = re.compile(
    r"(^|[/._-])(pins?|lock|locks|lockfile|requirements|constraints)([._-].*)?\.(txt|in|json|toml|lock|ya?ml)$"
    r"|\.lock$|(^|/)(go\.(sum|mod)|package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|\.npmrc|pip\.conf)$"
)
_ADDRESS = re.compile(
    r"[a-z][a-z+]*://|git@|(^|\s)(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b"
)
# A home of one letter is an example.
_MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:root|work|Users/[a-z]\w*|home/[a-z]\w+)/")
_SHELL = re.compile(r"#!.*\b(ba|da|z)?sh\b")
_SHELL_LINES_MAX = 10


def generated(tree: Tree) -> Iterator[Finding]:
    """Stubs are made in the build; a committed one is read instead, and rots."""
    for path in tree.files:
        if _STUB.search(path):
            yield Finding(path, 1, "generated", "a generated file is never committed")


def foreign(tree: Tree) -> Iterator[Finding]:
    """Other people's work comes as a package, with its own licence and its own updates."""
    for path, text in tree.files.items():
        if _FOREIGN_FOLDER.search(path) or _FOREIGN_PROTO.search(path):
            yield Finding(path, 1, "foreign", "third-party files come as packages, never as copies")
        elif _PACKED.search(path):
            yield Finding(path, 1, "foreign", "a binary or an archive is never committed")
        elif path not in _NOTICES and not path.endswith(".md"):
            for line, content in enumerate(text.splitlines()[:40], start=1):
                if _FOREIGN_NOTICE.search(content):
                    message = "a notice of its own marks a copied file; LICENSE covers ours"
                    yield Finding(path, line, "foreign", message)


def addresses(tree: Tree) -> Iterator[Finding]:
    """Pins say what, by hash; where from is the business of the machine that installs."""
    for path in tree.files:
        if not _PINNED.search(path):
            continue
        for line, content in tree.lines(path):
            if _ADDRESS.search(content):
                yield Finding(path, line, "address", "a pin names no place to download from")


def machine_paths(tree: Tree) -> Iterator[Finding]:
    """A path of the author's machine exists on no other."""
    for path, text in tree.files.items():
        if not _MACHINE_PATH.search(text):
            continue
        for line, content in tree.lines(path):
            if found := _MACHINE_PATH.search(content):
                message = f"`{found[0]}` is a path of one machine"
                yield Finding(path, line, "machine-path", message)


def shell(tree: Tree) -> Iterator[Finding]:
    """Tools are typed and tested; a shell script is neither."""
    for path, text in tree.files.items():
        if path.startswith("tools/") and _SHELL.match(text):
            lines = len(text.splitlines())
            if lines > _SHELL_LINES_MAX:
                message = f"{lines} lines of shell, limit {_SHELL_LINES_MAX}: write Python"
                yield Finding(path, 1, "shell", message)


def fragments(tree: Tree) -> Iterator[Finding]:
    """News reads as sentences, for people who did not see the change."""
    for path, text in tree.files.items():
        if not path.startswith("changes/") or path == "changes/README.md":
            continue
        if not re.fullmatch(r"changes/[a-z0-9]+(-[a-z0-9]+)*\.(contract|agent|fix|ops)\.md", path):
            message = "a fragment is changes/<slug>.{contract,agent,fix,ops}.md"
            yield Finding(path, 1, "fragment", message)
        elif not text.strip() or text.lstrip().startswith(("#", "-", "*")):
            yield Finding(path, 1, "fragment", "a fragment is one to three sentences, no heading")
        elif not text.rstrip().endswith((".", "!", "`")):
            yield Finding(path, 1, "fragment", "a fragment ends like a sentence")
