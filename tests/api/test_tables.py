"""Tables and their files: the page, the CSV and the workbook hold the same selection."""

import csv
import io
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from madang.hub.queries import exports, looking, tables
from madang.hub.queries.exports import guard
from madang.hub.queries.tables import TableFilter
from madang.model.entity import prop, rel
from tests.api.tiny_city import CARRIER_A, CARRIER_B, TinyCity, caller


def get(client: TestClient, city: TinyCity, path: str) -> Any:
    answer = client.get(path, headers=city.auth("officer"))
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("sort=-vehiclePlateIdentifier", [5, 4, 3, 2, 1]),
        ("filter=grossWeight>18003", [4, 5]),
        (f'filter=owner=="{CARRIER_B}";grossWeight<=18004', [4]),
        ("filter=ignition==true&limit=2&offset=1", [2, 3]),
        ("text=가 1232", [2]),
        ("filter=speed==10..20", []),
    ],
)
def test_the_page_and_the_files_agree(client: TestClient, city: TinyCity, query: str, numbers: list[int]) -> None:
    page = get(client, city, f"/api/tables/Vehicle?{query}").json()
    assert [row["id"][-1] for row in page["rows"]] == [str(n) for n in numbers]
    whole = "&".join(part for part in query.split("&") if not part.startswith(("limit", "offset")))
    everything = get(client, city, f"/api/tables/Vehicle?{whole}&limit=1000").json()
    ids = [row["id"] for row in everything["rows"]]
    assert page["total"] == len(ids)
    assert [row[0] for row in read_csv(get(client, city, f"/api/tables/Vehicle.csv?{whole}").content)[1:]] == ids
    assert [row[0] for row in read_xlsx(get(client, city, f"/api/tables/Vehicle.xlsx?{whole}").content)[1:]] == ids


def read_csv(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf"), "Excel reads Korean only after a byte-order mark"
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def read_xlsx(content: bytes) -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(io.BytesIO(content)).active.values)  # type: ignore[union-attr]


def test_cells(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, "/api/tables/Vehicle?limit=1&lang=ko").json()
    assert page["truncated"] and page["total"] == 5
    assert page["rows"] == [{
        "id": "urn:ngsi-ld:Vehicle:t1", "label": "81가 1231",
        "vehiclePlateIdentifier": {"value": "81가 1231", "text": "81가 1231"},
        "owner": {"value": CARRIER_A, "text": "한라운수"},
        "speed": {"value": 41.5, "text": "42 km/h"},
        "grossWeight": {"value": 18001, "text": "18,001 kg"},
        "ignition": {"value": True, "text": "예"}, "ptoEngaged": {"value": False, "text": "아니요"},
        "location": {"value": {"type": "Point", "coordinates": [126.51, 33.4]}, "text": "33.40000, 126.51000"},
        "batteryVoltage": {"value": 24.1, "text": "24.1 V"},
    }]  # fmt: skip
    columns = {column["attribute"]: column for column in page["columns"]}
    assert columns["grossWeight"] == {"attribute": "grossWeight", "title": "총중량", "kind": "number", "unit": "kg",
                                      "digits": 0}  # fmt: skip


def test_files_are_for_spreadsheets(client: TestClient, city: TinyCity) -> None:
    answer = get(client, city, "/api/tables/ManureManifest.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    head, *rows = read_csv(answer.content)
    row = dict(zip(head, rows[-1], strict=True))
    assert row["Planned (Asia/Seoul)"] == "2026-11-23T12:00:00+09:00"
    assert row["Planned amount (kg)"] == "9000"
    assert row["State"] == "Draft"
    book = read_xlsx(get(client, city, "/api/tables/ManureManifest.xlsx").content)
    cells = dict(zip(book[0], book[-1], strict=True))
    assert cells["Planned amount (kg)"] == 9000
    assert str(cells["Planned (Asia/Seoul)"]) == "2026-11-23 12:00:00"


def test_no_cell_becomes_a_formula(client: TestClient, city: TinyCity) -> None:
    text = get(client, city, "/api/tables/Vehicle.csv").content.decode("utf-8-sig")
    owners = [row[2] for row in csv.reader(io.StringIO(text, newline=""))]
    assert owners[4] == "'=cmd|' /C calc'!A0"
    workbook = openpyxl.load_workbook(io.BytesIO(get(client, city, "/api/tables/Vehicle.xlsx").content))
    cell = workbook.active["C5"]  # type: ignore[index]
    assert (cell.value, cell.data_type) == ("=cmd|' /C calc'!A0", "s")


@given(st.text())
def test_a_guarded_text_never_begins_like_a_formula(text: str) -> None:
    assert not guard(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert guard(text) in (text, "'" + text)


def test_records_are_tables_too(client: TestClient, city: TinyCity) -> None:
    assert get(client, city, "/api/tables/ManureManifest?state=DRAFT").json()["total"] == 2
    assert get(client, city, "/api/tables/ManureManifest?state=CONFIRMED").json()["total"] == 0
    found = {t["entity_type"]: t for t in get(client, city, "/api/tables").json()}
    assert found["ManureManifest"]["is_record"] and found["ManureManifest"]["states"][0]["value"] == "DRAFT"
    assert found["Vehicle"]["count"] == 5 and not found["Vehicle"]["is_record"]
    generic = get(client, city, "/api/tables/Incident").json()
    assert generic["columns"][0] == {"attribute": "state", "title": "State", "kind": "state", "unit": "", "digits": 0}


def test_a_file_holds_more_rows_than_a_page(own_city: TinyCity) -> None:
    rows = [
        (
            f"urn:ngsi-ld:Vehicle:x{n:05}",
            "Vehicle",
            {"vehiclePlateIdentifier": prop(f"{n:05}"), "owner": rel(CARRIER_A)},
        )
        for n in range(4_500)
    ]
    own_city.hub.put_reference(rows, "test").result(30)
    with looking(own_city.hub, caller("viewer"), "en") as look:
        assert tables.get_page(look, TableFilter("Vehicle", limit=10)).total == 4_505
        with exports.write_csv(look, TableFilter("Vehicle", limit=10, offset=5)) as file:
            ids = [row[0] for row in read_csv(file.read())[1:]]
    assert len(ids) == len(set(ids)) == 4_505
