"""Archives as an attacker makes them, written with the standard library alone."""

import io
import stat
import tarfile
import zipfile


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A ZIP of whatever names and headers were asked for."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return target.getvalue()


def zip_link(name: str) -> bytes:
    """A ZIP whose entry is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of((info, b"/etc/passwd"))


def zip_encrypted() -> bytes:
    """A ZIP that says that its entry is encrypted."""
    made = bytearray(zip_of(("a", b"secret")))
    made[6] |= 1
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def zip_overlapping() -> bytes:
    """A ZIP whose two entries are the same packed bytes."""
    made = zip_of(("a", b"x" * 1_000), ("b", b"x" * 1_000))
    directory = made.rindex(b"PK\x01\x02")
    return made[: directory + 42] + bytes(4) + made[directory + 46 :]


def zip_lying(content: bytes, declared_bytes: int) -> bytes:
    """A ZIP whose list of contents claims another size than the entry has."""
    made = zip_of(("a", content))
    directory = made.index(b"PK\x01\x02")
    return made[: directory + 24] + declared_bytes.to_bytes(4, "little") + made[directory + 28 :]


def tar_of(*entries: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """A tar of whatever headers were asked for, each with the same content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in entries:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def tar_special(kind: bytes) -> bytes:
    """A tar whose entry is a link or a device."""
    info = tarfile.TarInfo("a")
    info.type, info.linkname = kind, "/etc/passwd"
    return tar_of(info)
