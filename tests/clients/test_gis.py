"""OGC API - Features with clients that others wrote: GDAL (what QGIS and others read with) and OWSLib. Expected numbers are counted by
hand on the grid of trees in conftest."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyogrio
import pytest
from owslib.ogcapi.features import Features
from pyogrio.raw import read

from tests.clients.conftest import TREES, Served

pytestmark = pytest.mark.skipif(
    "OAPIF" not in pyogrio.list_drivers()
    and not os.environ.get("CI"),  # the pinned wheel has it: in CI a lack is a failure
    reason="this GDAL has no driver for OGC API - Features",
)


@pytest.fixture(params=["bearer", "password"])
def gdal(request: pytest.FixtureRequest, wood: Served) -> Iterator[str]:
    """GDAL with the token in the header, or as the password of HTTP Basic; gives the name of the data source."""
    ways: dict[str, dict[str, Any]] = {
        "bearer": {"GDAL_HTTP_AUTH": "BEARER", "GDAL_HTTP_BEARER": wood.token},
        "password": {"GDAL_HTTP_USERPWD": f"qgis:{wood.token}"},
    }
    pyogrio.set_gdal_config_options(ways[request.param])
    yield f"OAPIF:{wood.url}/ogc"
    pyogrio.set_gdal_config_options(dict.fromkeys(ways[request.param]))


def test_1_gdal_is_refused_without_a_token(wood: Served) -> None:
    with pytest.raises(pyogrio.errors.DataSourceError, match="401"):
        pyogrio.list_layers(f"OAPIF:{wood.url}/ogc")


def test_2_gdal_finds_layers(gdal: str) -> None:
    layers = {name: kind for name, kind in pyogrio.list_layers(gdal)}
    assert layers["Tree"] == "Point"
    assert layers["https://example.org/ns#Park"] == "Polygon"


def test_3_gdal_knows_a_layer(gdal: str) -> None:
    info = pyogrio.read_info(gdal, layer="Tree", force_feature_count=True, force_total_bounds=True)
    assert info["features"] == TREES
    assert "CRS84" in info["crs"]
    assert info["total_bounds"] == pytest.approx((127.0, 37.0, 127.49, 37.49))
    columns = dict(zip(info["fields"], info["ogr_types"], strict=True))
    assert columns == {
        "id": "OFTString", "type": "OFTString", "observedAt": "OFTDateTime", "modifiedAt": "OFTDateTime",
        "height": "OFTReal", "species": "OFTString", "name": "OFTString", "address": "OFTString",
        "tended": "OFTInteger", "owner": "OFTString", "felledAt": "OFTDate",
    }  # fmt: skip


def test_4_gdal_reads_every_page(gdal: str) -> None:
    meta, _, shapes, columns = read(gdal, layer="Tree")
    rows = dict(zip(meta["fields"], columns, strict=True))
    assert len(shapes) == TREES
    assert list(rows["id"]) == [f"urn:ngsi-ld:Tree:{n:05d}" for n in range(TREES)]
    assert np.allclose(rows["height"], np.arange(TREES) / 10)
    assert rows["species"][0] == "소나무" and rows["name"][1] == "tree 1" and rows["tended"][3]
    # A column that only the last tree has: the first page does not show it, the schema does.
    assert rows["felledAt"][-1] == np.datetime64("2026-11-01") and np.isnat(rows["felledAt"][0])


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"bbox": (127.005, 37.005, 127.055, 37.055)}, 25),
        ({"where": "species = '소나무'"}, TREES // 2),
        ({"max_features": 7}, 7),
    ],
)
def test_5_gdal_reads_a_part(gdal: str, asked: dict[str, Any], count: int) -> None:
    assert len(read(gdal, layer="Tree", **asked)[2]) == count


def test_6_owslib(wood: Served) -> None:
    service = Features(f"{wood.url}/ogc/", headers={"Authorization": f"Bearer {wood.token}"})
    assert service.api()["openapi"] == "3.0.3"
    assert {"Tree", "https://example.org/ns#Park"} <= set(service.feature_collections())
    assert service.collection("Tree")["extent"]["spatial"]["bbox"][0] == pytest.approx([127.0, 37.0, 127.49, 37.49])
    # In six columns and six rows, every even column has pines.
    page = service.collection_items(
        "Tree", bbox=[127, 37, 127.05, 37.05], limit=3, species="소나무", datetime_="2020-01-01T00:00:00Z/.."
    )
    assert (page["numberMatched"], page["numberReturned"]) == (18, 3)
    assert service.collection_item("Tree", "urn:ngsi-ld:Tree:00003")["properties"]["height"] == 0.3
