"""Bytes to a parsed JSON document, and what to tell the person whose device sent something else."""

import json
from typing import Any, NoReturn

import orjson

from madang.model.entity import Reject

PAYLOAD_MAX = 1 << 20
"""Bytes in one payload. More is refused unread: a million keys cost seconds of the one writer."""


class NotReadable(ValueError):
    """The payload is no JSON document. Carries the reject."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.reject = Reject(code, detail)


def parse_payload(payload: bytes) -> Any:
    """The JSON document (RFC 8259) in `payload`. Of duplicate keys the last one counts. Raises NotReadable."""
    if len(payload) > PAYLOAD_MAX:
        raise NotReadable(
            "too-large", f"{len(payload):,} bytes; at most {PAYLOAD_MAX:,}: send smaller batches of readings."
        )
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return _second_look(payload, error)


def _second_look(payload: bytes, error: orjson.JSONDecodeError) -> Any:
    """Faults that are common and harmless are forgiven; the rest is named."""
    if payload.startswith(b"\xef\xbb\xbf"):
        # RFC 8259 clause 8.1 lets a reader ignore a byte order mark instead of calling it an error.
        return parse_payload(payload[3:]) if not payload.startswith(b"\xef\xbb\xbf" * 2) else _refuse(payload, error)
    if b"NaN" in payload or b"Infinity" in payload:
        # What printf writes for a failed sensor. The constant stays text, so that the one attribute is rejected by name
        # and the others are kept.
        try:
            document = json.loads(payload.decode(), parse_constant=str)
            return orjson.loads(orjson.dumps(document))
        except (ValueError, RecursionError, TypeError):
            pass
    return _refuse(payload, error)


def _refuse(payload: bytes, error: orjson.JSONDecodeError) -> NoReturn:
    if not payload.strip():
        raise NotReadable("empty", "the payload is empty: the device sent a message without a reading.")
    if len(payload) > 3 and (
        payload[:2] in (b"\xff\xfe", b"\xfe\xff")
        or payload[:64:2].strip(b"\0") == b""
        or payload[1:64:2].strip(b"\0") == b""
    ):
        raise NotReadable("bad-encoding", "the payload looks like UTF-16: set the device to UTF-8.")
    try:
        payload.decode()
    except UnicodeDecodeError as wrong:
        for name, shown in (("cp949", "CP949 (EUC-KR)"), ("latin-1", "")):
            try:
                orjson.loads(payload.decode(name))
            except (UnicodeDecodeError, orjson.JSONDecodeError):
                continue
            guess = f" It reads as {shown}." if shown else ""
            break
        else:
            guess = ""
        raise NotReadable(
            "bad-encoding", f"the payload is not UTF-8 at byte {wrong.start}.{guess} Set the device to UTF-8."
        ) from wrong
    if "depth limit" in error.msg:
        raise NotReadable("too-deep", "the payload nests more than 1,024 levels: no reading does. Mend the device.")
    hint = " The end is missing: is the device's send buffer too small?" if error.pos >= len(error.doc.rstrip()) else ""
    raise NotReadable("bad-json", f"the payload is not JSON: {error.msg} (character {error.pos}).{hint}")
