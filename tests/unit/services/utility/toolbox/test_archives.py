"""Archives: what goes in comes out, and nothing else does."""

import gzip
import io
import tarfile
import zipfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.archive import tars, zips
from services.utility.toolbox.archive.entries import Entry, Meter, Paths
from services.utility.toolbox.archive.tars import Compression
from services.utility.toolbox.limits import Limits
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.toolbox import archive_samples as samples

LIMITS = Limits(archive_content_bytes_max=100_000, archive_entries_max=20)
FORMATS = ["zip", *Compression]
NAMES = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=8
)
FILES = st.builds(Entry, NAMES, st.binary(max_size=200), st.booleans())
ENTRIES = st.lists(st.one_of(FILES, st.builds(Entry, NAMES)), max_size=8)

HOSTILE_NAMES = [
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a/./b",
    "a//b",
    "./a",
    "..",
    "C:x",
    "c:/x",
    "a\\b",
    "..\\x",
    "a\nb",
    "\x7f",
    "x" * 256,
    "/".join(["x" * 200] * 6),
]


def pack(entries: list[Entry], form: str | Compression) -> bytes:
    return zips.pack(entries) if isinstance(form, str) else tars.pack(entries, form)


def unpack(archive: bytes, form: str | Compression, limits: Limits = LIMITS) -> list[Entry]:
    meter = Meter(limits, len(archive))
    if isinstance(form, str):
        return zips.unpack(archive, meter)
    return tars.unpack(archive, form, meter, entries_max=limits.archive_entries_max)


def refusal_of(archive: bytes, form: str | Compression, limits: Limits = LIMITS) -> int:
    with pytest.raises(CallerError) as refused:
        unpack(archive, form, limits)
    return refused.value.reason


def admitted(entries: list[Entry]) -> bool:
    paths = Paths()
    try:
        for entry in entries:
            paths.admit(entry.path, directory=entry.content is None)
    except CallerError:
        return False
    return True


@given(ENTRIES.filter(admitted))
@pytest.mark.parametrize("form", FORMATS)
def test_what_was_packed_comes_out_in_its_order(
    form: str | Compression, entries: list[Entry]
) -> None:
    """Paths, bytes, directories and the executable bit survive; the bytes are always the same."""
    archive = pack(entries, form)
    assert unpack(archive, form) == entries
    assert pack(entries, form) == archive


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_paths_that_leave_the_archive_are_refused(name: str) -> None:
    """In both formats, and when packing as well as when unpacking."""
    in_zip = samples.zip_of((name, b"x"))
    in_tar = samples.tar_of(tarfile.TarInfo(name), content=b"x")
    assert refusal_of(in_zip, "zip") == errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED
    assert refusal_of(in_tar, Compression.NONE) == errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED
    assert not admitted([Entry(name, b"x")])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "A"), ("é", "e\u0301"), ("ß", "SS"), ("a", "a/b"), ("a/b", "a")]
)
def test_paths_that_fall_together_are_refused(names: tuple[str, str]) -> None:
    """On a file system that ignores case or form, the second would replace the first."""
    archive = samples.tar_of(*map(tarfile.TarInfo, names), content=b"x")
    assert refusal_of(archive, Compression.NONE) == errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED
    archive = samples.zip_of(*((name, b"x") for name in names))
    assert refusal_of(archive, "zip") == errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_in_tars_are_refused(kind: bytes) -> None:
    """There is no safe place for a link to lead to, so none is followed or made."""
    refused = refusal_of(samples.tar_special(kind), Compression.NONE)
    assert refused == errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED


@pytest.mark.parametrize(
    "archive",
    [samples.zip_link("a"), samples.zip_encrypted(), samples.zip_overlapping()],
    ids=["link", "encrypted", "overlap"],
)
def test_zips_with_tricks_are_refused(archive: bytes) -> None:
    """Links, encryption, and entries that share their packed bytes."""
    assert refusal_of(archive, "zip") == errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED


def test_a_zip_that_lies_about_its_size_is_caught_while_unpacking() -> None:
    """Too much is refused by what it claims; too little by what comes out."""
    honest = Limits(archive_expansion_max=10_000)
    bomb = b"\0" * 90_000
    assert refusal_of(samples.zip_lying(bomb, 10**9), "zip") == errors.ERROR_REASON_TOO_LARGE
    assert (
        refusal_of(samples.zip_lying(bomb, 10), "zip", honest)
        == errors.ERROR_REASON_ARCHIVE_INVALID
    )


@pytest.mark.parametrize("form", FORMATS)
def test_bombs_are_stopped_by_their_ratio_and_their_size(form: str | Compression) -> None:
    """A little that becomes much is refused, whichever limit it meets first."""
    entries = [Entry("a", b"\0" * 90_000)]
    tight = Limits(archive_expansion_max=2, archive_content_bytes_max=100_000)
    small = Limits(archive_content_bytes_max=80_000, archive_expansion_max=10_000)
    archive = pack(entries, form)
    if form is not Compression.NONE:
        assert refusal_of(archive, form, tight) == errors.ERROR_REASON_TOO_LARGE
    assert refusal_of(archive, form, small) == errors.ERROR_REASON_TOO_LARGE


@pytest.mark.parametrize("form", [Compression.GZIP, Compression.ZSTANDARD])
def test_a_stream_that_never_ends_is_left_early(form: Compression) -> None:
    """Fifty megabytes of zeros are dropped at the limit, not after unpacking them."""
    zeros = bytes(50_000_000)
    bomb = gzip.compress(zeros) if form is Compression.GZIP else zstandard.compress(zeros)
    assert refusal_of(bomb, form) == errors.ERROR_REASON_TOO_LARGE


def test_a_window_beyond_eight_mebibytes_is_refused() -> None:
    """A Zstandard frame cannot ask for more memory than that."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    archive = frame.compress(bytes(1024)) + frame.flush()
    assert refusal_of(archive, Compression.ZSTANDARD) == errors.ERROR_REASON_ARCHIVE_INVALID


@pytest.mark.parametrize("form", FORMATS)
def test_too_many_entries_are_refused(form: str | Compression) -> None:
    """Counted one by one, whatever the list of contents says."""
    archive = pack([Entry(f"f{n}", b"") for n in range(21)], form)
    assert refusal_of(archive, form) == errors.ERROR_REASON_TOO_LARGE


@given(st.binary(max_size=300))
@pytest.mark.parametrize("form", FORMATS)
def test_no_bytes_break_the_reader(form: str | Compression, archive: bytes) -> None:
    """Any bytes are an archive or a refusal."""
    try:
        unpack(archive, form)
    except CallerError as refused:
        assert refused.reason == errors.ERROR_REASON_ARCHIVE_INVALID


@given(st.data())
@pytest.mark.parametrize("form", FORMATS)
def test_no_damage_breaks_the_reader(form: str | Compression, data: st.DataObject) -> None:
    """An archive with one byte changed is read or refused, and never more than the limit."""
    archive = bytearray(pack([Entry("a/b", b"content" * 20), Entry("c")], form))
    position = data.draw(st.integers(0, len(archive) - 1))
    archive[position] = data.draw(st.integers(0, 255))
    try:
        entries = unpack(bytes(archive), form)
    except CallerError:
        return
    assert sum(len(entry.content or b"") for entry in entries) <= LIMITS.archive_content_bytes_max


@pytest.mark.parametrize("damage", ["header", "cut"])
def test_a_tar_is_unpacked_whole_or_not_at_all(damage: str) -> None:
    """A damaged second header, or a missing end, is no shorter archive."""
    archive = bytearray(pack([Entry("a", b"x"), Entry("b", b"y")], Compression.NONE))
    if damage == "header":
        archive[1024 + 100] ^= 1
    else:
        del archive[2048:]
    reason = refusal_of(bytes(archive), Compression.NONE)
    assert reason == errors.ERROR_REASON_ARCHIVE_INVALID


def test_others_can_read_what_was_packed() -> None:
    """They are ordinary: the standard library reads them, with fixed times and no owners."""
    entries = [Entry("d"), Entry("d/run", b"hi", executable=True)]
    with zipfile.ZipFile(io.BytesIO(zips.pack(entries))) as archive:
        assert archive.testzip() is None
        assert [info.filename for info in archive.infolist()] == ["d/", "d/run"]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    packed = io.BytesIO(tars.pack(entries, Compression.GZIP))
    with tarfile.open(fileobj=packed) as tar:
        assert [(info.name, info.mode) for info in tar] == [("d", 0o755), ("d/run", 0o755)]
        assert all((info.mtime, info.uid, info.uname) == (0, 0, "") for info in tar.getmembers())
