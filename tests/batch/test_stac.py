"""STAC item collections and searches as inputs; a collection, a table and footprints as outputs."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import geopandas
import pandas as pd
import pystac
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box, shape

from geomask.batch import find_scenes
from geomask.batch.stac_inputs import Search, bbox_of, search_items
from geomask.batch.summary import write_summary
from geomask.errors import BatchError, GeomaskWarning
from tests.batch.conftest import Batch, records
from tests.conftest import random_dn, write_scene

Json = dict[str, Any]
TIMES = ("2024-06-01T10:00:00Z", "2024-06-11T10:00:00Z", "2024-06-21T10:00:00Z")


def item(name: str, time: str, href: str = "") -> Json:
    """An item of three bands, one file each."""
    bands = {"red": "red", "green": "green", "nir": "nir"}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "links": [],
        "properties": {"datetime": time, "platform": "sentinel-2a"},
        "assets": {
            key: {
                "href": f"{href}{name}_{key}.tif",
                "type": "image/tiff; application=geotiff",
                "eo:bands": [{"name": key, "common_name": common}],
                "raster:bands": [{"scale": 1e-4, "offset": 0, "nodata": 0}],
            }
            for key, common in bands.items()
        },
    }


def write_bands(folder: Path, name: str, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    values = random_dn(40, 40, seed=seed)
    moved = Affine(10, 0, 500_000 + 1000 * seed, 0, -10, 5_000_000)
    for index, band in enumerate(("red", "green", "nir")):
        write_scene(
            folder / f"{name}_{band}.tif",
            values[index : index + 1],
            bands=(None,),
            scale=None,
            transform=moved,
        )


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """An ItemCollection of three items beside their files."""
    for index in range(3):
        write_bands(tmp_path / "in", f"item{index}", index)
    items = [item(f"item{index}", time) for index, time in enumerate(TIMES)]
    path = tmp_path / "in" / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


def test_every_item_of_a_collection_is_a_scene(batch: Batch, collection: Path) -> None:
    result = batch(collection)
    assert [record.name for record in result.done] == ["item0", "item1", "item2"]
    assert [record.acquisition["time"] for record in result.done] == list(TIMES)
    inputs = [Path(found.path).name for found in result.done[0].inputs]
    assert inputs == ["item0.json", "item0_red.tif", "item0_green.tif", "item0_nir.tif"]
    assert len(batch(collection).skipped) == 3


def test_only_the_item_that_changed_is_done_again(batch: Batch, collection: Path) -> None:
    batch(collection)
    content = json.loads(collection.read_text())
    content["features"][1]["properties"]["datetime"] = "2024-07-01T00:00:00Z"
    collection.write_text(json.dumps(content))
    assert [record.name for record in batch(collection).done] == ["item1"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "holds no items"),
        ([{"type": "Feature", "assets": {}}], "has no id"),
        ([{"id": "a"}], "has no assets"),
        ([item("a", TIMES[0]), item("A", TIMES[0])], "two of its items are called 'A'"),
    ],
)
def test_collections_that_are_none_are_refused(
    tmp_path: Path, features: list[Json], message: str
) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(BatchError, match=message):
        find_scenes([path], items=tmp_path / "items")
    with pytest.raises(BatchError, match="no place for its items"):
        find_scenes([path])


def test_an_id_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    features = [item("../../a b", TIMES[0])]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (scene,) = find_scenes([path], items=tmp_path / "items")
    assert Path(scene.address).parent == tmp_path / "items"


class Api(http.server.SimpleHTTPRequestHandler):
    """A STAC API with one collection, a page of two items at a time; files beside it."""

    items: tuple[Json, ...] = ()
    asked: tuple[Json, ...] = ()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer(self.landing())
        elif url.path == "/search":
            self.page({key: value[0] for key, value in parse_qs(url.query).items()})
        else:
            super().do_GET()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.page(json.loads(self.rfile.read(length)))

    def landing(self) -> Json:
        here = f"http://{self.headers['Host']}"
        search = {"rel": "search", "href": f"{here}/search", "type": "application/geo+json"}
        return {
            "type": "Catalog",
            "id": "api",
            "stac_version": "1.0.0",
            "description": "of the test",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/item-search",
            ],
            "links": [
                {"rel": "self", "href": f"{here}/"},
                {"rel": "root", "href": f"{here}/"},
                search | {"method": "GET"},
                search | {"method": "POST"},
            ],
        }

    def page(self, asked: Json) -> None:
        type(self).asked += (asked,)
        here = f"http://{self.headers['Host']}"
        start = int(asked.get("token", 0))
        links: list[Json] = []
        if start + 2 < len(self.items):
            links.append(
                {
                    "rel": "next",
                    "method": "POST",
                    "href": f"{here}/search",
                    "body": asked | {"token": start + 2},
                }
            )
        own = [
            found | {"links": [{"rel": "self", "href": f"{here}/items/{found['id']}"}]}
            for found in self.items[start : start + 2]
        ]
        self.answer({"type": "FeatureCollection", "features": own, "links": links})

    def answer(self, content: Json) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an API of three items."""
    pytest.importorskip("pystac_client", reason="pystac-client is not installed (geomask[stac])")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for index in range(3):
        write_bands(tmp_path / "in", f"item{index}", index)
    Api.items = tuple(item(f"item{index}", time, href="../in/") for index, time in enumerate(TIMES))
    Api.asked = ()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Api, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_search_asks_what_it_is_told_and_follows_the_pages(api: str, tmp_path: Path) -> None:
    search = Search(api, ("s2",), (13.0, 45.0, 14.0, 46.0), "2024-06-01/2024-06-30")
    paths = search_items(search, tmp_path / "items")
    assert [Path(path).name for path in paths] == ["item0.json", "item1.json", "item2.json"]
    asked = Api.asked[0]
    assert asked["collections"] == ["s2"]
    assert asked["bbox"] == [13.0, 45.0, 14.0, 46.0]
    assert asked["datetime"] == "2024-06-01T00:00:00Z/2024-06-30T23:59:59Z"
    href = json.loads(Path(paths[0]).read_text())["assets"]["red"]["href"]
    assert href == f"{api}in/item0_red.tif"
    assert len(search_items(Search(api, limit=1), tmp_path / "one")) == 1


def test_a_server_does_not_say_which_files_of_this_machine_are_opened(
    api: str, tmp_path: Path
) -> None:
    Api.items = (item("a", TIMES[0]),)
    Api.items[0]["assets"]["red"]["href"] = "file:///etc/passwd"
    Api.items[0]["assets"]["nir"]["href"] = "/vsicurl/http://elsewhere"
    (path,) = search_items(Search(api), tmp_path / "items")
    assets = json.loads(Path(path).read_text())["assets"]
    assert sorted(assets) == ["green", "nir"]
    assert assets["nir"]["href"].startswith(api)  # below the server, whatever it looks like


def test_a_search_that_fails_or_finds_nothing_is_one_sentence(api: str, tmp_path: Path) -> None:
    Api.items = ()
    with pytest.raises(BatchError, match="finds no item"):
        search_items(Search(api), tmp_path / "items")
    with pytest.raises(BatchError, match="cannot be searched"):
        search_items(Search("http://127.0.0.1:9/"), tmp_path / "items")
    with pytest.raises(BatchError, match="cannot be searched"):
        search_items(Search(f"{api}in/item0_red.tif"), tmp_path / "items")


def test_the_command_takes_what_a_search_finds(api: str, tmp_path: Path, model_file: Path) -> None:
    from click.testing import CliRunner

    from geomask.cli import cli

    line = f"batch --stac-search {api} --collection s2 --limit 2 --out-dir {tmp_path}/out --dry-run"
    result = CliRunner().invoke(cli, [*line.split(), "--model", str(model_file), "--json"])
    assert result.exit_code == 0, result.output
    masks = [Path(found["mask"]).name for found in json.loads(result.stdout)]
    assert masks == ["item0.tif", "item1.tif"]


@pytest.mark.parametrize("numbers", [(10, 50, 20, 40), (-190, 0, 0, 1), (0, 0, 0, 91)])
def test_a_box_that_is_none_is_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(BatchError, match="west,south,east,north"):
        bbox_of(numbers)
    assert bbox_of((170, -10, -170, 10)) == (170, -10, -170, 10)


def test_the_table_has_a_row_per_scene(batch: Batch, collection: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "text.tif").write_text("hello")
    batch(collection, tmp_path / "in" / "text.tif")
    paths = write_summary(tmp_path / "out")
    assert [path.name for path in paths] == [
        "summary.csv",
        "footprints.parquet",
        "collection.json",
    ]
    table = pd.read_csv(paths[0]).set_index("name")
    assert list(table.index) == ["item0", "item1", "item2", "text"]
    assert list(table["status"]) == ["done"] * 3 + ["failed"]
    assert table.loc["item1", "mask"] == "item1.tif"
    assert table.loc["item1", "acquired"] == TIMES[1]
    record = records(tmp_path / "out")["item1"]
    assert table.loc["item1", "cloud_percent"] == pytest.approx(record["percent"]["cloud"])
    assert table.loc["item1", "nodata_percent"] == 0
    assert "is not a raster" in table.loc["text", "reason"]


def test_footprints_lie_where_the_masks_are(batch: Batch, collection: Path, tmp_path: Path) -> None:
    batch(collection)
    write_summary(tmp_path / "out")
    frame = geopandas.read_parquet(tmp_path / "out" / "footprints.parquet")
    assert frame.crs == "EPSG:4326"
    for name, there in zip(frame["name"], frame.to_crs("EPSG:32633").geometry, strict=True):
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as mask:
            bounds = box(*mask.bounds)
        # A ten-millionth of a degree is a tenth of a metre; the scene's side is 400 m.
        assert there.symmetric_difference(bounds).area < 400


def test_the_results_are_a_stac_collection(batch: Batch, collection: Path, tmp_path: Path) -> None:
    batch(collection, confidence=True, polygons=".shp")
    write_summary(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    found = pystac.Collection.from_file(str(tmp_path / "moved" / "stac" / "collection.json"))
    items = {item.id: item for item in found.get_items()}
    assert sorted(items) == ["item0", "item1", "item2"]
    one = items["item1"]
    assert one.datetime is not None
    assert one.datetime.isoformat() == "2024-06-11T10:00:00+00:00"
    assert sorted(one.assets) == ["confidence", "mask", "polygons:item1"]
    for asset in one.assets.values():
        assert Path(asset.get_absolute_href() or "").is_file()
    classes = one.assets["mask"].extra_fields["classification:classes"]
    assert [(c["value"], c["name"]) for c in classes] == [
        *((0, "clear"), (1, "cloud"), (2, "shadow"), (255, "nodata"))
    ]
    assert one.properties["platform"] == "sentinel-2a"
    with rasterio.open(one.assets["mask"].get_absolute_href()) as mask:
        assert one.properties["proj:shape"] == list(mask.shape)
        assert one.properties["proj:transform"] == list(mask.transform)[:6]
    (extent,) = found.extent.spatial.bboxes
    for each in items.values():
        assert box(*extent).buffer(1e-9).covers(shape(each.geometry))
    times = found.extent.temporal.intervals[0]
    assert [time.isoformat()[:10] for time in times if time] == ["2024-06-01", "2024-06-21"]


def test_a_scene_of_unknown_time_is_left_out_and_warned_of(
    batch: Batch, collection: Path, tmp_path: Path
) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(30, 30))
    batch(scene)
    paths = write_summary(tmp_path / "out")
    assert [path.name for path in paths] == ["summary.csv", "footprints.parquet"]
    batch(scene, collection)
    with pytest.warns(GeomaskWarning, match="1 of 4 scenes do not say when"):
        write_summary(tmp_path / "out")
    assert not (tmp_path / "out" / "stac" / "s").exists()


def test_an_item_of_a_scene_that_fails_now_is_removed(
    batch: Batch, collection: Path, tmp_path: Path
) -> None:
    batch(collection)
    write_summary(tmp_path / "out")
    (tmp_path / "in" / "item1_red.tif").write_text("hello")
    batch(collection)
    write_summary(tmp_path / "out")
    folder = tmp_path / "out" / "stac"
    assert sorted(path.name for path in folder.iterdir()) == ["collection.json", "item0", "item2"]


def test_across_the_antimeridian_a_footprint_has_two_parts() -> None:
    from rasterio.crs import CRS

    from geomask.footprint import footprint
    from geomask.grid import Grid

    # UTM zone 60 south, from about 179.5 degrees east on.
    grid = Grid(CRS.from_epsg(32760), Affine(100, 0, 740_000, 0, -100, 8_000_000), 1000, 1000)
    found = footprint(grid)
    assert found is not None
    parts = list(shape(found).geoms)
    assert len(parts) == 2
    assert sorted(part.bounds[0] < 0 for part in parts) == [False, True]
    assert all(part.bounds[2] - part.bounds[0] < 2 for part in parts)


def test_without_a_crs_there_is_no_footprint(tmp_path: Path, batch: Batch) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(30, 30), crs=None)
    batch(scene)
    assert [path.name for path in write_summary(tmp_path / "out")] == ["summary.csv"]
