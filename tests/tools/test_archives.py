"""Archives that were made to do harm, real ones: each is refused in one message."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from mixmerge.core.archives import BadArchive, Bounds, gunzip
from offline_sources.archives import folder, untar, unzip
from offline_sources.nltk_packages import unpack_deb

SMALL = Bounds(bytes=1 << 20, members=50, ratio=20, free=1000)


def everything(name: str) -> bool:
    return True


def zipped(path: Path, *entries: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name  # zipfile would mend it
            info.external_attr = (mode or stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def refused(archive: Path, target: Path) -> str:
    """The message; nothing was written beside or above the target."""
    before = sorted(target.parent.parent.rglob("*"))
    with pytest.raises(BadArchive) as caught:
        unzip(archive, target, everything, SMALL)
    after = sorted(path for path in target.parent.parent.rglob("*") if target not in path.parents)
    assert [path for path in after if path != target] == before
    message = str(caught.value)
    assert message.startswith(f"{archive}: ") and "\n" not in message
    return message


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    return tmp_path / "below" / "target"


@pytest.mark.parametrize(
    "name",
    [
        *("../outside", "a/../../outside", "/tmp/absolute", "..", "a//b", "C:/windows"),
        *("..\\outside", "bell\a", "nul\0.txt", "line\nbreak", "n" * 256, "d/" * 40 + "deep"),
        "\u202etxt.exe",
    ],
)
def test_names_that_are_no_plain_path(tmp_path: Path, target: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", ("fine.txt", b"fine"), (name, b"x"))
    assert "is no plain path below" in refused(archive, target)
    assert not target.exists()


def test_what_is_wanted_comes_out_and_nothing_else(tmp_path: Path, target: Path) -> None:
    archive = zipped(
        tmp_path / "a.zip", ("keep/a b.txt", b"one"), ("keep/é.txt", b"two"), ("other/c", b"no")
    )
    assert unzip(archive, target, folder("keep"), Bounds()) == ["keep/a b.txt", "keep/é.txt"]
    assert (target / "keep/é.txt").read_bytes() == b"two"
    assert sorted(path.name for path in target.iterdir()) == ["keep"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip(tmp_path: Path, target: Path, kind: int) -> None:
    archive = zipped(tmp_path / "a.zip", ("link", b"/etc/passwd"), mode=kind | 0o777)
    assert "'link' is a link or a device" in refused(archive, target)


def test_bombs_and_too_many_entries(tmp_path: Path, target: Path) -> None:
    archive = tmp_path / "a.zip"
    zipped(archive, *((f"{n}", b"") for n in range(51)))
    assert "holds 51 entries" in refused(archive, target)
    zipped(archive, ("zeros", bytes(900_000)))
    assert archive.stat().st_size < 2000
    assert "made to fill a disk" in refused(archive, target)
    zipped(archive, ("noise", os.urandom(2 << 20)))
    assert "made to fill a disk" in refused(archive, target)  # too large, whatever its ratio
    assert not target.exists()


def test_a_bomb_that_lies_about_its_size(tmp_path: Path, target: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("zeros", bytes(5_000_000)))
    data = archive.read_bytes()
    size = (5_000_000).to_bytes(4, "little")
    assert data.count(size) == 2  # the local header and the directory
    archive.write_bytes(data.replace(size, (500).to_bytes(4, "little")))
    refused(archive, target)
    written = [path.stat().st_size for path in target.rglob("*")] if target.exists() else []
    assert sum(written) <= 500


def test_twice_encrypted_broken_or_no_zip_at_all(tmp_path: Path, target: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "a.zip", ("a", b"1"), ("a", b"2"))
    assert "holds 'a' twice" in refused(archive, target)
    whole = zipped(archive, ("a", b"secret")).read_bytes()
    data = bytearray(whole)
    data[data.index(b"PK\3\4") + 6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(bytes(data))
    assert "'a' is encrypted" in refused(archive, target)
    for content in (whole[:-30], b"no zip"):
        archive.write_bytes(content)
        assert "broken archive" in refused(archive, target)


def tarred(path: Path, *entries: tarfile.TarInfo, content: bytes = b"text") -> Path:
    with tarfile.open(path, "w") as archive:
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def untarred(path: Path, target: Path) -> list[str]:
    with path.open("rb") as stream:
        return untar(stream, path, target, everything, SMALL)


def test_a_tar_is_held_to_the_same(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "a.tar"
    assert untarred(tarred(path, entry("./fine")), target) == ["fine"]
    assert (target / "fine").read_bytes() == b"text"
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    for entries, message in (
        ([entry("../canary")], "is no plain path"),
        ([entry(str(canary))], "is no plain path"),
        ([entry("in", tarfile.SYMTYPE, str(tmp_path)), entry("in/canary")], "'in' is a link"),
        ([entry("in", tarfile.LNKTYPE, "../../canary")], "'in' is a link"),
        ([entry("dev", tarfile.CHRTYPE)], "'dev' is a link or a device"),
        ([entry("pipe", tarfile.FIFOTYPE)], "'pipe' is a link or a device"),
        ([entry("a"), entry("a")], "holds 'a' twice"),
        ([entry(f"{n}", tarfile.DIRTYPE) for n in range(51)], "holds over 50 entries"),
    ):
        with pytest.raises(BadArchive, match=message):
            untarred(tarred(path, *entries), target)
    with pytest.raises(BadArchive, match="made to fill a disk"):
        untarred(tarred(path, entry("b"), content=bytes(2 << 20)), target)
    path.write_bytes(b"no tar" * 200)
    with pytest.raises(BadArchive, match="broken archive"):
        untarred(path, target)
    # What stands there is not written through.
    (target / "link").symlink_to(canary)
    with pytest.raises(FileExistsError):
        untarred(tarred(path, entry("link")), target)
    assert canary.read_text() == "untouched"


def test_gzip_within_bounds() -> None:
    text = os.urandom(50_000)
    assert gunzip(gzip.compress(text), "a.gz", SMALL) == text
    with pytest.raises(BadArchive, match=r"^a\.gz: .* made to fill a disk"):
        gunzip(gzip.compress(bytes(10_000_000)), "a.gz", SMALL)
    for broken in (gzip.compress(text)[:-9], b"no gzip", gzip.compress(b"x")[:-8] + bytes(8)):
        with pytest.raises(BadArchive, match="broken archive"):
            gunzip(broken, "a.gz", SMALL)


def test_a_deb_with_a_link_out_of_its_tree(tmp_path: Path) -> None:
    """An archive as `dpkg-deb` reads it: two small tars behind an ar header."""
    canary, tree = tmp_path / "canary", tmp_path / "tree"
    canary.mkdir()

    def unpack(*entries: tarfile.TarInfo) -> None:
        tars = [tarred(tmp_path / "part.tar", *part).read_bytes() for part in ([], entries)]
        parts = {
            "debian-binary": b"2.0\n",
            "control.tar.gz": gzip.compress(tars[0], mtime=0),
            "data.tar.gz": gzip.compress(tars[1], mtime=0),
        }
        data = b"!<arch>\n"
        for name, content in parts.items():
            head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
            data += head.encode() + content + b"\n" * (len(content) % 2)
        (tmp_path / "made.deb").write_bytes(data)
        unpack_deb(tmp_path / "made.deb", tree, folder("usr/share"))

    # A link that nobody wants is in many packages.
    unpack(
        entry("./usr/share/a"), entry("./usr/bin/b"), entry("./usr/lib/in", tarfile.SYMTYPE, "/")
    )
    assert [path.name for path in tree.rglob("*") if path.is_file()] == ["a"]
    with pytest.raises(BadArchive, match="'usr/share/in' is a link"):
        unpack(entry("./usr/share/in", tarfile.SYMTYPE, str(canary)), entry("./usr/share/in/x"))
    assert not list(canary.iterdir())
