"""The console's files. Every path that is no file and no API path is the console's own and gets its page."""

import gzip
import mimetypes
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from madang.api.errors import Problem
from madang.api.route import Answer, Call

FILE_BYTES_MAX = 32 * 1024 * 1024
FILES_KEPT_MAX = 512
GZIP_BYTES_MIN = 1_024
PAGE = "index.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from elsewhere. Inline styles are the map library's; workers made from blobs too."""
_PACKED = ("text/", "application/javascript", "application/json", "image/svg", "application/manifest")
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
          ".woff2": "font/woff2", ".json": "application/json", ".webmanifest": "application/manifest+json",
          ".html": "text/html", ".wasm": "application/wasm"}  # fmt: skip

NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Madang</title></head>
<body><h1>Madang is running</h1>
<p>The console is not built in this installation. In the source folder, run <code>make setup</code> (it needs Node 20 or
newer), then load this page again.</p>
<p lang="ko">콘솔이 아직 만들어지지 않았습니다. 소스 폴더에서 <code>make setup</code>을 실행한 뒤 이 페이지를 다시 여십시오.</p>
<p>The API works without it: <a href="/openapi.json">/openapi.json</a></p></body></html>
"""


class _File(Struct, frozen=True):
    stamp: tuple[int, int]
    etag: str
    media_type: str
    content: bytes
    packed: bytes


_kept: dict[Path, _File] = {}


async def get_file(call: Call) -> Answer:
    """GET of everything that the route table does not have."""
    folder = call.state.settings.console_dir
    path = str(call.scope["path"])
    file = await call.run(_find, folder, path)
    if file is None:
        if "." in path.rsplit("/", 1)[-1]:
            raise Problem(404, "no-such-path", f"There is no {path[:200]}.")
        return Answer(NOT_BUILT.encode(), 503, (), "text/html; charset=utf-8")
    hashed = "/assets/" in path and file.media_type != "text/html; charset=utf-8"
    headers: list[tuple[str, str]] = [
        ("ETag", file.etag),
        ("Cache-Control", "public, max-age=31536000, immutable" if hashed else "no-cache"),
        ("Vary", "Accept-Encoding"),
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ]
    if call.headers.get("if-none-match") == file.etag:
        return Answer(None, 304, tuple(headers))
    if file.packed and "gzip" in call.headers.get("accept-encoding", ""):
        headers.append(("Content-Encoding", "gzip"))
        return Answer(file.packed, 200, tuple(headers), file.media_type)
    return Answer(file.content, 200, tuple(headers), file.media_type)


def _find(folder: Path, path: str) -> _File | None:
    """The file of a path, else the console's page, else None. Never anything outside the folder."""
    relative = path.lstrip("/")
    if "\x00" not in relative and "\\" not in relative:
        candidate = (folder / relative).resolve()
        if candidate.is_relative_to(folder.resolve()) and candidate.is_file():
            return _load(candidate)
    if "." in relative.rsplit("/", 1)[-1]:
        return None
    page = folder / PAGE
    return _load(page.resolve()) if page.is_file() else None


def _load(path: Path) -> _File | None:
    """The file, from memory while it has not changed."""
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size)
    known = _kept.get(path)
    if known is not None and known.stamp == stamp:
        return known
    if status.st_size > FILE_BYTES_MAX:
        return None
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    packed = b""
    if len(content) >= GZIP_BYTES_MIN and media_type.startswith(_PACKED):
        packed = gzip.compress(content, 6)
    file = _File(stamp, f'"{blake2b(content, digest_size=12).hexdigest()}"', media_type, content, packed)
    if len(_kept) >= FILES_KEPT_MAX:
        _kept.clear()
    _kept[path] = file
    return file
