"""`madang backup` and `restore`: what is in it and what is not, sealed backups, and files that somebody else made."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from madang.app.archive import MANIFEST, part_of
from madang.app.backup import back_up, restore, verify
from madang.app.cli import main
from madang.app.sealing import make_key
from madang.hub.ports import Store, StoreError
from madang.model.entity import prop
from madang.model.time import parse_instant
from madang.stores.sqlite import SqliteStore
from tests.stores.cluster import Cluster, open_cluster

CANARY = "홍길동 010-1234-5678"
ID = "urn:ngsi-ld:Person:1"


class Clock:
    def now(self) -> int:
        return parse_instant("2026-11-25T00:00:00Z")


def put(store: Store, name: str, **more: Any) -> None:
    attributes = {"name": prop(name), **more}
    store.write(lambda tx: tx.put_entity(ID, "Person", attributes, "t", reference=True, replace=True)).result(10)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one entity in each of two databases, and the files that lie beside them."""
    folder = tmp_path / "data"
    for part in (folder, folder / "tenants" / "other"):
        store = SqliteStore(part, Clock())
        put(store, CANARY)
        store.close()
    (folder / "outbox").mkdir()
    (folder / "outbox" / "sms-20261125.jsonl").write_text("{}\n")
    (folder / "first-token").write_text("mdg_secret")
    return folder


def name_in(folder: Path) -> Any:
    store = SqliteStore(folder, Clock())
    try:
        with store.read() as read:
            entity = read.find_entity(ID)
            return None if entity is None else entity.attributes["name"]["value"]
    finally:
        store.close()


def test_round_trip(data: Path, tmp_path: Path) -> None:
    manifest = back_up(data, tmp_path / "a.backup")
    assert [part.path for part in manifest.parts] == [
        "default.db",
        "tenants/other/default.db",
        "outbox/sms-20261125.jsonl",
    ]
    assert verify(tmp_path / "a.backup") == manifest
    restore(tmp_path / "a.backup", tmp_path / "restored")
    assert name_in(tmp_path / "restored") == name_in(tmp_path / "restored" / "tenants" / "other") == CANARY
    assert (tmp_path / "restored" / "outbox" / "sms-20261125.jsonl").read_text() == "{}\n"
    assert not (tmp_path / "restored" / "first-token").exists(), "a secret in clear does not travel"
    told = json.loads((tmp_path / "restored" / "restored.json").read_text())
    assert (told["takenAt"], told["from"]) == (manifest.taken_at, "a.backup")
    assert ((tmp_path / "restored").stat().st_mode & 0o777, (tmp_path / "a.backup").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_sealed(data: Path, tmp_path: Path) -> None:
    public, other = make_key(tmp_path / "key"), make_key(tmp_path / "other")
    back_up(data, tmp_path / "plain.backup")
    back_up(data, tmp_path / "a.backup", (public,))
    assert CANARY.encode() in gzip.decompress((tmp_path / "plain.backup").read_bytes())
    assert (tmp_path / "a.backup").read_bytes().startswith(b"age-encryption.org/v1\n")
    with pytest.raises(StoreError, match="--identity"):
        restore(tmp_path / "a.backup", tmp_path / "restored")
    with pytest.raises(StoreError, match="another key"):
        restore(tmp_path / "a.backup", tmp_path / "restored", tmp_path / "other")
    body = (tmp_path / "a.backup").read_bytes()
    for at in (len(body) // 3, len(body) - 3):
        (tmp_path / "bad.backup").write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        with pytest.raises(StoreError, match="damaged"):
            restore(tmp_path / "bad.backup", tmp_path / "restored", tmp_path / "key")
    (tmp_path / "bad.backup").write_bytes(body[:-40])
    with pytest.raises(StoreError, match="damaged"):
        restore(tmp_path / "bad.backup", tmp_path / "restored", tmp_path / "key")
    assert not (tmp_path / "restored").exists()
    restore(tmp_path / "a.backup", tmp_path / "restored", tmp_path / "key")
    assert name_in(tmp_path / "restored") == CANARY
    assert ((tmp_path / "key").stat().st_mode & 0o777, other != public) == (0o600, True)


def test_the_command_line_says_what_to_do(data: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        return done.exit_code, done.output

    target = tmp_path / "a.backup"
    assert run("backup", data / "in.backup", "--data", data) == (
        1,
        f"Error: {data / 'in.backup'} lies in the data folder: a backup there is lost together with the data\n",
    )
    assert "is no data folder" in run("backup", target, "--data", tmp_path / "nothing")[1]
    (tmp_path / "empty").mkdir()
    assert "holds no database" in run("backup", target, "--data", tmp_path / "empty")[1]
    code, public = run("backup-key", tmp_path / "key")
    assert (code, public.startswith("age1")) == (0, True)
    assert run("backup-key", tmp_path / "key")[0] == 1, "a key is never written over"
    secret = (tmp_path / "key").read_text().splitlines()[1]
    assert "secret one" in run("backup", target, "--data", data, "--recipient", secret)[1]
    assert "is no public key" in run("backup", target, "--data", data, "--recipient", "age1nonsense")[1]
    assert not target.exists()
    code, said = run("backup", target, "--data", data, "--recipient", public.strip())
    assert (code, "sealed" in said) == (0, True)
    assert "is there already" in run("backup", target, "--data", data)[1]
    assert "whole and sound" in run("restore", target, "--check", "--identity", tmp_path / "key")[1]
    assert "is not empty" in run("restore", target, "--data", data, "--identity", tmp_path / "key")[1]
    (tmp_path / "words").write_text("no key here")
    assert "holds no key" in run("restore", target, "--data", tmp_path / "r", "--identity", tmp_path / "words")[1]
    code, said = run("restore", target, "--data", tmp_path / "r", "--identity", tmp_path / "key")
    assert (code, "madang token" in said) == (0, True)
    assert name_in(tmp_path / "r") == CANARY


def forge(path: Path, members: list[tuple[str, bytes, bytes]], **manifest: Any) -> Path:
    """An archive whose list names the members as they are (unless `manifest` says otherwise): name, content, tar type."""
    parts = []
    for name, content, kind in members:
        file = path.with_name("member")
        file.write_bytes(content)
        if kind == tarfile.REGTYPE:
            part = part_of(file, name, "file")
            parts.append({"path": part.path, "kind": part.kind, "size": part.size, "sha256": part.sha256})
    head = json.dumps({"format": 1, "madang": "0", "taken_at": "", "parts": parts, **manifest}).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, content, kind in [(MANIFEST, head, tarfile.REGTYPE), *members]:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/outside", "a/../../outside", "a\\..\\outside", "", ".", "a//b", "./a"]
)
def test_no_file_leaves_its_folder(tmp_path: Path, name: str) -> None:
    forged = forge(tmp_path / "f.backup", [(name, b"x", tarfile.REGTYPE)])
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(StoreError):
        restore(forged, tmp_path / "restored")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_nothing_but_what_the_list_names(tmp_path: Path) -> None:
    path = tmp_path / "f.backup"
    for members, more, said in (
        ([("link", b"", tarfile.SYMTYPE)], {}, "not what its list says"),
        ([("a", b"x", tarfile.REGTYPE), ("a", b"x", tarfile.REGTYPE)], {}, "not what its list says"),
        ([("a", b"x", tarfile.REGTYPE)], {"parts": []}, "not what its list says"),
        ([], {"parts": [{"path": "a", "kind": "file", "size": 1, "sha256": ""}]}, "a is missing"),
        (
            [("a", b"x", tarfile.REGTYPE)],
            {"parts": [{"path": "a", "kind": "file", "size": 1, "sha256": "0"}]},
            "a has changed",
        ),
        ([("a", b"x", tarfile.REGTYPE)], {"format": 2}, "format 2"),
        ([], {"parts": "none"}, "damaged"),
    ):
        with pytest.raises(StoreError, match=said):
            verify(forge(path, members, **more))
    for text in (b"", b"not a backup", gzip.compress(b"neither is this"), gzip.compress(b"\0" * 20_000)):
        path.write_bytes(text)
        with pytest.raises(StoreError, match=r"no backup|damaged"):
            verify(path)


def test_a_database_of_a_newer_version_is_refused(data: Path, tmp_path: Path) -> None:
    import sqlite3

    db = sqlite3.connect(data / "default.db")
    db.execute("PRAGMA user_version = 9999")
    db.close()
    back_up(data, tmp_path / "a.backup")
    with pytest.raises(StoreError, match="newer Madang"):
        restore(tmp_path / "a.backup", tmp_path / "restored")


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster() as found:
        yield found


def test_round_trip_of_a_database(cluster: Cluster, tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "a.backup"
    data.mkdir()
    url = cluster.database_of(data)
    store = cluster.make(data, Clock())
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [126.5, 33.4]}}
    put(store, CANARY, location=place)
    manifest = back_up(data, target, store=url)  # while the store is open
    put(store, "later")
    store.close()
    assert [(part.path, part.kind) for part in manifest.parts] == [("postgres.dump", "postgres")]
    with pytest.raises(StoreError, match="restore into an empty database"):
        restore(target, tmp_path / "restored", store=url)
    with pytest.raises(StoreError, match="another kind of store"):
        restore(target, tmp_path / "restored")
    with cluster.connect("postgres") as db:
        db.execute("CREATE DATABASE restored")
    restore(target, tmp_path / "restored", store=cluster.url("restored"))
    from madang.stores.postgres import PostgresStore

    again = PostgresStore(cluster.url("restored"), Clock())
    try:
        with again.read() as read:
            entity = read.find_entity(ID)
        assert entity is not None
        assert (entity.attributes["name"]["value"], entity.attributes["location"]) == (CANARY, place)
        # It goes on: sequences and partitions came with it.
        put(again, "new")
    finally:
        again.close()
    assert sorted(p.name for p in (tmp_path / "restored").iterdir()) == ["restored.json"]
