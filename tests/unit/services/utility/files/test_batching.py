from hypothesis import given
from hypothesis import strategies as st

from services.utility.files.batching import batches, first_batch
from tandem.utility.v1 import file_pb2 as pb

sizes = st.lists(st.sampled_from([1, 1000, 300_000, 900_000, 2_000_000]), max_size=12)


@given(sizes)
def test_every_batch_fits_and_none_is_lost(sizes: list[int]) -> None:
    """A client with gRPC's own limit can take each batch, and together they are all there was."""
    files = [pb.File(path="x" * size) for size in sizes]
    found = list(batches(files))
    assert [file for batch in found for file in batch] == files
    for batch in found:
        assert len(batch) == 1 or 0 < sum(file.ByteSize() for file in batch) <= 1024 * 1024


@given(sizes, st.integers(1, 4))
def test_the_first_batch_says_what_comes_next(sizes: list[int], count_max: int) -> None:
    """The first batch is no longer than asked, and what is named next is where the next begins."""
    files = [pb.File(path="x" * size) for size in sizes]
    batch, beyond = first_batch(files, count_max)
    assert len(batch) <= count_max
    assert beyond is (files[len(batch)] if len(batch) < len(files) else None)
