"""Sealed backups: the file format age (https://age-encryption.org/v1), of which pyrage is the library.

Who backs up holds only the public half of a key (`age1…`): a machine that was broken into cannot read its older backups. The other half
(`AGE-SECRET-KEY-1…`) lies elsewhere and is needed to restore. The tool `age` opens the same files.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyrage
from pyrage import x25519

from madang.hub.ports import StoreError

MAGIC = b"age-encryption.org/v1\n"
SECRET = "AGE-SECRET-KEY-1"


def make_key(path: Path) -> str:
    """Write a new key to `path` (which must not exist; readable by its owner alone); gives the public half."""
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"# public key: {public}\n{identity}\n")
    return public


def read_identities(path: Path) -> list[x25519.Identity]:
    """The keys in a file as `make_key` and age-keygen write it. Raises StoreError."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    try:
        found = [x25519.Identity.from_str(line) for line in lines if line.startswith(SECRET)]
    except pyrage.IdentityError as error:
        raise StoreError(f"{path} holds a key that is not whole ({error})") from error
    if not found:
        raise StoreError(f"{path} holds no key: a line that begins with {SECRET}…")
    return found


def parse_recipients(texts: tuple[str, ...]) -> list[x25519.Recipient]:
    """Public keys. Raises StoreError for one that is none."""
    found = []
    for text in texts:
        if text.startswith(SECRET):
            raise StoreError(
                "--recipient takes the public half of a key, age1…; this is the secret one: keep it elsewhere"
            )
        try:
            found.append(x25519.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            raise StoreError(f"--recipient {text!r} is no public key: age1…, as `madang backup-key` prints") from error
    return found


def is_sealed(path: Path) -> bool:
    """Was the file written with a key?"""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def sealing(target: BinaryIO, recipients: list[x25519.Recipient]) -> Iterator[BinaryIO]:
    """What is written goes sealed to `target`; whole when the block ends without an exception."""
    source, sink = os.pipe()
    failure: list[Exception] = []

    def seal() -> None:
        with os.fdopen(source, "rb") as plain:
            try:
                pyrage.encrypt_io(plain, target, recipients)
            except (pyrage.EncryptError, OSError) as error:
                failure.append(error)
                # Closing the pipe ends the writer too.

    thread = threading.Thread(target=seal, name="madang-sealing")
    thread.start()
    try:
        with os.fdopen(sink, "wb") as plain:
            yield plain
    except BrokenPipeError:
        if not failure:
            raise
    finally:
        thread.join()
    if failure:
        raise StoreError(f"the backup cannot be written: {failure[0]}") from failure[0]


@contextmanager
def opening(source: BinaryIO, identities: list[x25519.Identity]) -> Iterator[BinaryIO]:
    """The plain bytes of a sealed file. A wrong key, or a byte that was changed or cut off, raises StoreError when the block ends."""
    outlet, sink = os.pipe()
    failure: list[Exception] = []

    def unseal() -> None:
        with os.fdopen(sink, "wb") as plain:
            try:
                pyrage.decrypt_io(source, plain, identities)
            except (pyrage.DecryptError, OSError) as error:
                failure.append(error)

    thread = threading.Thread(target=unseal, name="madang-opening")
    thread.start()
    try:
        with os.fdopen(outlet, "rb") as plain:
            yield plain
    finally:
        thread.join()
        told = next((e for e in failure if not _is_closed_pipe(e)), None)
        if told is not None:
            # In the place of what the reader stumbled over, which is only the end of the bytes that could be opened.
            raise StoreError(f"the backup does not open ({told}): another key, or a damaged file") from told


def _is_closed_pipe(error: Exception) -> bool:
    return isinstance(error, BrokenPipeError) or "roken pipe" in str(error)
