from __future__ import annotations

import asyncio
import os
import pickle
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tandemkit.core import token as module
from tandemkit.core.token import Token, TokenRefused
from tandemkit.testing.clock import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "token"


def test_the_first_makes_a_file_that_only_its_user_can_read(path: Path) -> None:
    """Whatever the umask, and with 256 bits in it."""
    before = os.umask(0)
    try:
        token = Token.kept(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (text,) = path.read_text().split()
    assert len(text) == 43
    assert token.bearer == f"Bearer {text}"
    assert list(path.parent.iterdir()) == [path]


async def test_all_who_come_first_have_the_same(path: Path) -> None:
    """It is made once, whoever wins."""
    made = await asyncio.gather(*(asyncio.to_thread(Token.kept, path) for _ in range(20)))
    assert len({one.bearer for one in made}) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    """Whoever could read it knows it; the sentence says what to do."""
    Token.kept(path)
    path.chmod(mode)
    with pytest.raises(TokenRefused, match="chmod 600 it"):
        Token(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away: run as root")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    """Its owner knows it, though nobody else can read it."""
    Token.kept(path)
    os.chown(path, 65534, 65534)
    with pytest.raises(TokenRefused, match="belongs to another user"):
        Token(path)


def test_a_link_a_folder_and_a_pipe_are_refused(path: Path) -> None:
    """And none of them is waited for."""
    Token.kept(path)
    path.with_name("link").symlink_to(path)
    os.mkfifo(path.with_name("pipe"), 0o600)
    path.with_name("folder").mkdir(mode=0o700)
    for name in ("link", "pipe", "folder"):
        with pytest.raises(TokenRefused):
            Token(path.with_name(name))


@pytest.mark.parametrize("text", ["", "short", "two words" * 10, "é" * 50, "a" * 5000])
def test_what_is_no_token_is_refused(path: Path, text: str) -> None:
    """An empty one would let everybody in who shows nothing."""
    Token.kept(path)
    path.write_text(text)
    with pytest.raises(TokenRefused, match="does not hold a token"):
        Token(path)


def test_an_absent_one_says_how_to_get_it(path: Path) -> None:
    """A caller makes none: it would be another fleet's."""
    with pytest.raises(TokenRefused, match="makes one, or copy"):
        Token(path)


def test_a_folder_that_cannot_be_made_is_told(path: Path) -> None:
    """As is a full disk, or one that is read alone."""
    path.parent.write_text("a file")
    with pytest.raises(TokenRefused, match="the token cannot be kept: "):
        Token.kept(path / "below")


def test_only_the_token_opens(path: Path) -> None:
    """The scheme is written in any case, as HTTP has it; the token is not."""
    token = Token.kept(path)
    text = path.read_text().strip()
    for good in (token.bearer, token.bearer.encode(), f"bearer {text}", f"BEARER  {text} "):
        assert token.opens(good)
    bad = ("", "Bearer ", text, f"Basic {text}", f"Bearer {text[:-1]}", f"Bearer {text}x", "é")
    for one in (*bad, f"Bearer {text.swapcase()}", b"Bearer \xff", f"Bearer{text}"):
        assert not token.opens(one)


async def test_after_a_change_the_one_before_opens_for_a_while(path: Path) -> None:
    """Who has read it before is not cut off; after its time it is nothing."""
    clock = FakeClock()
    holder, changer = Token.kept(path, clock), Token.kept(path, clock)
    before = holder.bearer
    changer.rotate(grace_s=60)
    assert changer.bearer != before
    assert holder.opens(changer.bearer), "it did not look again"
    assert holder.opens(before)
    assert holder.bearer == changer.bearer
    await clock.advance(61)
    assert not holder.opens(before)
    assert holder.opens(changer.bearer)


async def test_who_shows_it_takes_a_new_one_over(path: Path) -> None:
    """A caller that nobody refuses shows it within seconds, and none ever opens by an old one for
    want of somebody who shows the new one.
    """
    clock = FakeClock()
    caller, asking = Token.kept(path, clock), Token.kept(path, clock)
    before = caller.header
    Token.kept(path, clock).rotate(grace_s=0)
    assert caller.header == before
    await clock.advance(module.LOOK_S)
    assert caller.header != before
    assert not asking.opens(before[1])


async def test_a_change_without_grace_ends_all_that_were_before(path: Path) -> None:
    """One of them has leaked, and nobody knows which; with grace each has its time."""
    token = Token.kept(path, FakeClock())
    earlier = []
    for _ in range(3):
        earlier.append(token.bearer)
        token.rotate(grace_s=60)
    assert all(token.opens(one) for one in earlier)
    token.rotate(grace_s=0)
    assert not any(token.opens(one) for one in earlier)
    assert token.opens(token.bearer)


async def test_a_later_change_gives_nobody_more_time(path: Path) -> None:
    """The end that was said first stands, unless the later one is sooner."""
    clock = FakeClock()
    token = Token.kept(path, clock)
    first = token.bearer
    token.rotate(grace_s=30)
    token.rotate(grace_s=600)
    await clock.advance(31)
    assert not token.opens(first)


def test_a_file_that_is_lost_or_spoiled_changes_nothing(path: Path) -> None:
    """What was known holds until there is a good one."""
    token = Token.kept(path)
    path.chmod(0o644)
    assert token.opens(token.bearer)
    assert not token.opens("Bearer x")
    path.unlink()
    assert not token.opens("Bearer y")
    assert token.opens(token.bearer)


def test_a_stale_file_of_the_one_before_is_no_obstacle(path: Path) -> None:
    """Half a line, another user's or none: the token itself is at hand."""
    token = Token.kept(path)
    before = path.with_name("token.before")
    for text in ("", "x", "x y", f"{'a' * 43} 2020-01-01T00:00:00+00:00"):
        before.write_text(text)
        before.chmod(0o600)
        assert not Token(path).opens(f"Bearer {'a' * 43}")
        assert Token(path).opens(token.bearer)
    until = FakeClock().now() + timedelta(days=9)
    before.write_text(f"{'a' * 43} {until.isoformat()}")
    before.chmod(0o644)
    assert not Token(path, FakeClock()).opens(f"Bearer {'a' * 43}")


def test_it_shows_itself_to_nobody_by_accident(path: Path) -> None:
    """Neither in a log or a message, nor in a copy for another process."""
    token = Token.kept(path)
    text = path.read_text().strip()
    assert text not in f"{token!r} {token} {[token]}"
    with pytest.raises(TypeError, match="read from its file"):
        pickle.dumps(token)
    path.chmod(0o644)
    with pytest.raises(TokenRefused) as refused:
        Token(path)
    assert text not in str(refused.value)


# A child crashes; its parent says what memory it was allowed to leave, and whether it did.
_CRASH = f"""
import os, resource, sys
from pathlib import Path
from {module.__name__} import Token
_soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
if not (child := os.fork()):
    Token(Path(sys.argv[1]))
    print(*resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    os.abort()
print(os.WCOREDUMP(os.waitpid(child, 0)[1]))
"""


def test_who_holds_one_leaves_no_core_dump(path: Path, tmp_path: Path) -> None:
    """However much it was allowed before: no file, and no program that the kernel would start."""
    Token.kept(path)
    done = subprocess.run(
        (sys.executable, "-c", _CRASH, str(path)),
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    soft, hard, dumped = done.stdout.split()
    assert (soft, dumped) == (hard, "False")
    assert int(hard) in {0, 1}, "0 only where somebody set that limit for good"
    assert list(tmp_path.iterdir()) == [path.parent]
