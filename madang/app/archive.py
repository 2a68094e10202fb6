"""The file that a backup is: a gzipped tar whose first member says what the others are.

Reading trusts nothing: only files that the first member names, of the sizes and digests that it says, under names that stay in their
folder.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct

from madang.hub.ports import StoreError

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
"""Some hundred thousand files."""
CHUNK = 1024 * 1024
LEVEL = 3
"""Of gzip: twice as fast as 6 and hardly larger for a database."""

Kind = Literal["sqlite", "postgres", "file"]


class Part(Struct, frozen=True):
    """One file of a backup. `path` is relative to the data folder, with ``/``."""

    path: str
    kind: Kind
    size: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a backup holds."""

    format: int
    madang: str
    """Version that wrote it."""
    taken_at: str
    """When it was begun; everything acknowledged before is in it."""
    parts: tuple[Part, ...]


def part_of(path: Path, name: str, kind: Kind) -> Part:
    """Read a file once for its size and digest."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Part(name, kind, size, digest.hexdigest())


def write_archive(sink: BinaryIO, manifest: Manifest, files: Sequence[Path]) -> None:
    """Write the manifest and the files that its parts are, in their order."""
    with (
        gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=LEVEL, mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        head = msgspec.json.format(msgspec.json.encode(manifest))
        _add(tar, MANIFEST, len(head), io.BytesIO(head))
        for part, path in zip(manifest.parts, files, strict=True):
            with path.open("rb") as file:
                _add(tar, part.path, part.size, file)


def _add(tar: tarfile.TarFile, name: str, size: int, file: BinaryIO) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    tar.addfile(info, file)


def read_archive(source: BinaryIO, folder: Path) -> Manifest:
    """Put a backup's files into `folder`. Raises StoreError when it is not exactly what its manifest says."""
    try:
        with gzip.GzipFile(fileobj=source) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            members = iter(tar)
            manifest = _manifest(tar, members)
            wanted = {part.path: part for part in manifest.parts}
            for info in members:
                part = wanted.pop(info.name, None)
                if part is None or not info.isreg() or info.size != part.size:
                    raise StoreError(f"the backup is damaged: {info.name!r} is not what its list says")
                _extract(tar, info, part, folder)
            while packed.read(CHUNK):  # the checksum stands at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise StoreError(f"this is no backup, or it is damaged ({error})") from error
    if wanted:
        raise StoreError(f"the backup is not whole: {', '.join(sorted(wanted)[:5])} is missing")
    return manifest


def _manifest(tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> Manifest:
    info = next(members, None)
    file = tar.extractfile(info) if info is not None and info.name == MANIFEST and info.isreg() else None
    if info is None or file is None or info.size > MANIFEST_BYTES_MAX:
        raise StoreError("this is no backup of Madang: its list of contents is missing")
    text = file.read()
    try:
        number = msgspec.json.decode(text, type=dict)["format"]
        if number != FORMAT:
            raise StoreError(
                f"the backup has format {number}, this Madang knows {FORMAT}: take the Madang that wrote it"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, KeyError) as error:
        raise StoreError(f"the backup's list of contents is damaged ({error})") from error
    for part in manifest.parts:
        path = PurePosixPath(part.path)
        if path.is_absolute() or ".." in path.parts or "\\" in part.path or not path.parts or part.path != str(path):
            raise StoreError(f"the backup's list of contents names {part.path!r}, which lies outside its folder")
    return manifest


def _extract(tar: tarfile.TarFile, info: tarfile.TarInfo, part: Part, folder: Path) -> None:
    file = tar.extractfile(info)
    assert file is not None
    target = folder / part.path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = hashlib.sha256()
    with target.open("xb") as out:
        target.chmod(0o600)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != part.sha256:
        raise StoreError(f"the backup is damaged: {part.path} has changed since it was written")
