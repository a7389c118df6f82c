"""Tokens by which a stream goes on, and what they are compared with."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.rpc.resume_token import Course, Differs, TokenInvalid, digest_of, read

REQUEST = pb.StreamChatRequest(model="parrot", namespace="default")
ASKED = digest_of(REQUEST)


def tokens(parts: list[str], pinned: bytes = b"x") -> list[str]:
    course, found = Course(ASKED, pinned), []
    for part in parts:
        course.tell(part)
        found.append(course.token())
    return found


@given(
    st.lists(st.text(max_size=5), min_size=1, max_size=6), st.lists(st.integers(1, 5)), st.data()
)
def test_what_was_delivered_is_left_out_however_it_is_parted(
    parts: list[str], sizes: list[int], data: st.DataObject
) -> None:
    """A server that makes other parts of the same text, behind any of its tokens."""
    at = data.draw(st.integers(0, len(parts) - 1))
    behind = read(tokens(parts)[at], REQUEST)
    text, rest = "".join(parts), ""
    course = Course(ASKED, b"x", behind)
    while text:
        size = sizes.pop() if sizes else 3
        told, text = text[:size], text[size:]
        rest += told[course.known(told) :]
        course.tell(told)
    course.end()
    assert rest == "".join(parts[at + 1 :])
    assert course.token() == tokens(parts)[-1]


def test_another_text_is_not_gone_on_with() -> None:
    """Neither one that differs, nor one that is shorter."""
    behind = read(tokens(["the mill ", "turns"])[1], REQUEST)
    other = Course(ASKED, b"x", behind)
    other.tell("the mill ")
    with pytest.raises(Differs):
        other.tell("burns, too")
    shorter = Course(ASKED, b"x", behind)
    shorter.tell("the mill ")
    with pytest.raises(Differs):
        shorter.end()


def test_a_token_is_of_its_request() -> None:
    """With the token or without it, and of no other."""
    (token,) = tokens(["a"], b"pinned")
    again = pb.StreamChatRequest(model="parrot", namespace="default", resume_token=token)
    mark = read(token, again)
    assert (mark.chars, mark.pinned, mark.is_over) == (1, b"pinned", False)
    with pytest.raises(TokenInvalid, match="another request"):
        read(token, pb.StreamChatRequest(model="starling", namespace="default"))


@given(st.text() | st.binary().map(lambda found: base64.urlsafe_b64encode(found).decode()))
def test_what_is_no_token_is_refused(text: str) -> None:
    """Whatever anybody sends, it is never a defect of ours."""
    with pytest.raises(TokenInvalid):
        read(text, REQUEST)


def test_a_token_is_short() -> None:
    """It goes into a header, an event of a web page, a line of a log."""
    (token,) = tokens(["a" * 100_000], b"p" * 250)
    assert len(token) < 450
