"""Digests: the published values, and pieces that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.digest import digests
from services.utility.toolbox.digest.digests import Algorithm

SIGNING = st.sampled_from(sorted(digests._SIGNING, key=lambda algorithm: algorithm.value))
KEYS = st.binary(min_size=16, max_size=64)
# Of the three bytes "abc".
ABC = {
    Algorithm.SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    Algorithm.SHA1: "a9993e364706816aba3e25717850c26c9cd0d89d",
    Algorithm.MD5: "900150983cd24fb0d6963f7d28e17f72",
    Algorithm.SHA3_256: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
    Algorithm.BLAKE2S: "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
    Algorithm.BLAKE3: "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    Algorithm.CRC32: "352441c2",
    Algorithm.XXH3_64: "78af5f94892f3950",
}


@pytest.mark.parametrize(("algorithm", "expected"), ABC.items())
def test_published_digests_of_abc(algorithm: Algorithm, expected: str) -> None:
    """The algorithms are the ones that they are called."""
    assert digests.digest(b"abc", algorithm).hex() == expected


@given(st.lists(st.binary(max_size=64), max_size=8), st.sampled_from(Algorithm))
def test_pieces_digest_as_the_whole(pieces: list[bytes], algorithm: Algorithm) -> None:
    """Where a stream is cut makes no difference."""
    made = digests.digester(algorithm)
    for piece in pieces:
        made.update(piece)
    assert made.digest() == digests.digest(b"".join(pieces), algorithm)


@given(st.binary(), KEYS, SIGNING)
def test_a_signature_holds_for_its_own_bytes_and_key(
    content: bytes, key: bytes, algorithm: Algorithm
) -> None:
    """It verifies, and neither other bytes, nor another key, nor a shortened signature does."""
    signature = digests.sign(content, key, algorithm)
    assert digests.verify(content, key, algorithm, signature)
    assert not digests.verify(content + b"x", key, algorithm, signature)
    assert not digests.verify(content, key[:-1] + bytes([key[-1] ^ 1]), algorithm, signature)
    assert not digests.verify(content, key, algorithm, signature[:-1])


def test_the_published_hmac_value() -> None:
    """RFC 4231, test case 2."""
    made = digests.sign(b"what do ya want for nothing?", b"Jefe", Algorithm.SHA256)
    assert made.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
