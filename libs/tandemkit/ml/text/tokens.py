"""How many tokens a text has for a language model, without its tokenizer: an estimate that rather
says too many than too few.
"""

from __future__ import annotations

import re

# A tokenizer cuts words into pieces, and has one for each digit or two and for each mark.
_PIECE = re.compile(r"[A-Za-z]+|\d+|[^\W\d_]+|[^\s\w]|_")
_LETTERS, _DIGITS = 5, 2


def estimated_tokens(text: str) -> int:
    """Words of up to five ASCII letters are one token and longer ones one more for each five begun;
    two digits, a mark, and a letter of any other script are one each.
    """
    return sum(map(_tokens, _PIECE.findall(text)))


def cut_to_tokens(text: str, tokens_max: int) -> str:
    """Its beginning, of so many estimated tokens at most."""
    count = 0
    for found in _PIECE.finditer(text):
        count += _tokens(found.group())
        if count > tokens_max:
            return text[: found.start()].rstrip()
    return text


def _tokens(piece: str) -> int:
    if piece.isascii():
        size = _DIGITS if piece[0].isdigit() else _LETTERS
        return -(-len(piece) // size)
    return len(piece)
