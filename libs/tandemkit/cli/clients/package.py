"""A client package as files, and the folder that it is written into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tandemkit.cli.output import Refusal

# What tells a later run that the folder is ours to write again, and which files of it.
MARK = ".tandem-client.json"


@dataclass(frozen=True, slots=True)
class Written:
    """What a run changed in the folder; files that were the same already keep their times."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]
    total: int


def check_ours(folder: Path, language: str, *, force: bool) -> None:
    """Refuses a folder with anything in it but an earlier package for the same language."""
    if folder.exists() and not folder.is_dir():
        raise Refusal(f"{folder} is no folder.")
    if force or not folder.exists() or not any(folder.iterdir()):
        return
    earlier = _earlier(folder).get("language")
    if earlier is None:
        raise Refusal(f"{folder} is not empty; name another folder, or add --force to write there.")
    if earlier != language:
        raise Refusal(
            f"{folder} holds the package for {earlier}; name another folder, or add --force."
        )


def write(folder: Path, files: Mapping[str, bytes], about: Mapping[str, object]) -> Written:
    """Writes what is new or different, and removes what an earlier package had and this has not.

    What others put there, such as what a build made, stays.
    """
    stale = sorted(set(_files_of(folder)) - set(files))
    for path in stale:
        (folder / path).unlink(missing_ok=True)
    changed = [path for path, content in files.items() if _put(folder / path, content)]
    told = {**about, "files": sorted(files)}
    _put(folder / MARK, (json.dumps(told, indent=2) + "\n").encode())
    return Written(tuple(sorted(changed)), tuple(stale), len(files))


def _put(path: Path, content: bytes) -> bool:
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.rename(path)
    return True


def _files_of(folder: Path) -> list[str]:
    """What an earlier run wrote; a mark that somebody changed names no file outside of it."""
    named = _earlier(folder).get("files")
    inside = folder.resolve()
    paths = [str(path) for path in named] if isinstance(named, list) else []
    return [path for path in paths if (folder / path).resolve().is_relative_to(inside)]


def _earlier(folder: Path) -> dict[str, object]:
    try:
        told = json.loads((folder / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
