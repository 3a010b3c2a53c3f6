"""CloudSEN12 as chips: sets written by the upstream packages are the oracle."""

from __future__ import annotations

import csv
import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import rasterio
import tacoreader.v1

from geomask.errors import GeomaskWarning, OptionError, OutputError, RecipeError
from geomask.training import taco
from geomask.training.chips import IGNORE, read_image, read_labels, read_manifest
from geomask.training.cloudsen12 import Filters, convert, select
from geomask.training.cloudsen12_sample import choose_bands
from geomask.training.cloudsen12_subset import write_subset
from geomask.training.taco import list_samples
from geomask.training.tortilla import pack, unpack
from tests.training.taco_sets import (
    MEXICO_CITY,
    REAL,
    SIZE,
    Spec,
    codes_of,
    first_generation,
    image_of,
    second_generation,
    upstream_sample,
    write_files,
    write_tif,
    write_tortilla,
)

ANY = Filters(size=None)
MIXED = (
    Spec("a", "ROI_1", "train"),
    Spec("b", "ROI_1", "train", labels=(0,)),
    Spec("c", "ROI_2", "validation", country="Peru", at=(-77.0, -12.0)),
    Spec("d", "ROI_3", "test", labels=(0, 3), country="Fiji", at=(179.5, -17.0)),
    Spec("e", "ROI_4", "train", "scribble"),
    Spec("f", "ROI_5", "train", size=SIZE),
)
WRITERS = {".tortilla": first_generation, ".tacozip": second_generation}


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def ids_of(sources: list[Path], **asked) -> set[str]:
    return {s.id for s in select(list_samples(sources), replace(ANY, **asked))}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """make(specs, suffix=".tortilla", **more) -> the set."""

    def make(specs, suffix=".tortilla", name="set", **more) -> Path:
        return WRITERS[suffix](tmp_path / f"{name}{suffix}", specs, **more)

    return make


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_sample_becomes_a_chip_with_its_pixels_labels_and_place(make, tmp_path, suffix) -> None:
    spec = Spec("ROI_1__20190316", "ROI_1", "validation")
    samples = select(list_samples([make([spec], suffix)]), replace(ANY, size=REAL))
    result = convert(samples, tmp_path / "chips")
    assert (result.written, result.left_out) == (["ROI_1__20190316"], [])
    with rasterio.open(tmp_path / "chips" / "ROI_1__20190316.tif") as source:
        assert (source.read() == image_of(spec)).all()
        assert (source.descriptions[0], source.descriptions[-1]) == ("coastal", "swir22")
        assert (source.scales[0], source.offsets[0]) == (1e-4, 0.0)
        assert source.crs.to_epsg() == 32614
        assert tuple(source.transform)[:6] == (10, 0, 480_000, 0, -10, 2_150_000)
    row = rows_of(tmp_path / "chips")["ROI_1__20190316"]
    assert row["split_group"] == "ROI_1"
    assert row["split"] == "val"
    assert row["gsd_m"] == "10"
    assert row["acquired"] == "2019-03-16"
    assert row["country"] == "Mexico"
    assert row["source"] == f"set{suffix}"
    assert row["licence"].startswith({".tortilla": "not stated", ".tacozip": "CC0-1.0"}[suffix])


def test_padding_is_ignored_and_not_measured_though_its_label_says_clear(make, tmp_path) -> None:
    convert(select(list_samples([make([Spec("a")])]), ANY), tmp_path / "chips", bands=["B04"])
    chip = read_manifest(tmp_path / "chips")[0]
    labels, image = read_labels(chip), read_image(chip, ["red"])
    assert (labels[REAL:] == IGNORE).all()
    assert (labels[:, REAL:] == IGNORE).all()
    assert labels[:5, 0].tolist() == [0, 1, 2, 3, 0]
    assert np.isnan(image[0, REAL:]).all()
    assert image[0, 2, 0] == pytest.approx(0.0402)  # band 4 of 13, row 2: DN 402


def test_a_pixel_that_one_band_did_not_measure_is_not_labelled(make, tmp_path, monkeypatch) -> None:
    def dropout(spec, level):
        image = image_of(spec, level)
        image[9, 4, 5] = 0
        return image

    monkeypatch.setattr("tests.training.taco_sets.image_of", dropout)
    samples = list_samples([make([Spec("a")])])
    convert(samples, tmp_path / "all")
    convert(samples, tmp_path / "rgb", bands=["red", "green", "blue"])
    with rasterio.open(tmp_path / "all" / "a_mask.tif") as mask:
        assert mask.read(1)[4, 4:6].tolist() == [0, IGNORE]
    with rasterio.open(tmp_path / "rgb" / "a_mask.tif") as mask:
        assert mask.read(1)[4, 4:6].tolist() == [0, 0]
    with rasterio.open(tmp_path / "rgb" / "a.tif") as image:
        assert image.descriptions == ("red", "green", "blue")
        assert image.read()[:, 0, 0].tolist() == [400, 300, 200]


@pytest.mark.parametrize(
    ("label_type", "codes", "expected"),
    [
        ("high", (0, 1, 2, 3), [0, 1, 2, 3]),
        ("high", (1, 99, 255), [1, IGNORE, IGNORE]),
        # Border and centre of thick cloud, of thin cloud, of shadow.
        ("scribble", (0, 1, 2, 3, 4, 5, 6, 99), [0, 1, 1, 2, 2, 3, 3, IGNORE]),
    ],
)
def test_labels_mean_what_their_type_says(make, tmp_path, label_type, codes, expected) -> None:
    source = make([Spec("a", label_type=label_type, labels=codes)])
    convert(list_samples([source]), tmp_path / "chips")
    with rasterio.open(tmp_path / "chips" / "a_mask.tif") as mask:
        assert mask.read(1)[: len(codes), 0].tolist() == expected


@pytest.fixture(scope="module", params=WRITERS)
def mixed(request, tmp_path_factory) -> list[taco.Sample]:
    """The samples of MIXED, of either generation."""
    path = tmp_path_factory.mktemp("mixed") / f"set{request.param}"
    return list_samples([WRITERS[request.param](path, MIXED)])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "abcdf"),
        ({"size": REAL}, "abcd"),
        ({"split": "validation"}, "c"),
        ({"split": "test"}, "d"),
        ({"label_type": "scribble"}, "e"),
        ({"country": " peru "}, "c"),
        ({"shows": ("cloud", "shadow"), "size": REAL}, "ac"),
        ({"shows": ("shadow",), "size": REAL}, "acd"),
        ({"shows": ("thin_cloud",), "country": "Mexico"}, "af"),
    ],
)
def test_filters_choose_by_what_the_set_says(mixed, asked, expected) -> None:
    assert {s.id for s in select(mixed, replace(ANY, **asked))} == set(expected)


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ((-118, 14, -86, 33), "abf"),
        ((-100, -13, -70, 20), "abcf"),
        ((170, -20, -170, -10), "d"),  # across the date line
        ((*MEXICO_CITY, *MEXICO_CITY), "abf"),
    ],
)
def test_a_bounding_box_holds_the_centres_within(make, bbox, expected) -> None:
    assert ids_of([make(MIXED)], bbox=bbox) == set(expected)


def test_what_fits_nothing_is_told_with_the_nearest_country(make) -> None:
    samples = list_samples([make(MIXED)])
    with pytest.raises(OptionError, match=r"--country Mexco: none .* there are: Mexico"):
        select(samples, Filters(country="Mexco"))
    with pytest.raises(
        OptionError, match=r"none of the 6 samples fits .*--split test and --size 9"
    ):
        select(samples, Filters(split="test", size=9))


def test_a_set_without_the_column_that_a_filter_needs_is_refused(make) -> None:
    source = make([Spec("a", changes={"cloud_shadow_percentage": None})])
    with pytest.raises(RecipeError, match="no column cloud_shadow_percentage, which tells the sh"):
        select(list_samples([source]), replace(ANY, shows=("shadow",)))


def test_a_larger_limit_adds_to_a_smaller_one_and_the_seed_changes_both(make) -> None:
    parts = [
        make([Spec(f"x{n:02}", f"ROI_{n}") for n in range(start, start + 8)], name=f"part{start}")
        for start in (0, 8)
    ]
    samples = list_samples(parts)

    def chosen(limit, seed=0, samples=samples):
        return [s.id for s in select(samples, ANY, limit=limit, seed=seed)]

    assert chosen(9)[:5] == chosen(5)
    assert chosen(16, samples=samples[::-1]) == chosen(16)
    assert sorted(chosen(None)) == sorted(s.id for s in samples)
    assert chosen(5, seed=1) != chosen(5)
    assert chosen(16)[:8] != sorted(chosen(16))[:8]


def test_a_sample_that_two_sources_have_is_taken_once(make) -> None:
    parts = [make(MIXED[:2], name="one"), make(MIXED[1:3], name="two")]
    assert [s.id for s in list_samples(parts)] == ["a", "b", "b", "c"]
    assert len(select(list_samples(parts), ANY)) == 3


def test_a_run_that_was_stopped_goes_on_and_ends_as_an_unbroken_one(make, tmp_path) -> None:
    samples = select(list_samples([make([Spec(f"x{n}") for n in range(6)])]), ANY)

    def stop(progress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(samples, tmp_path / "broken", report=stop)
    begun = {chip.id for chip in read_manifest(tmp_path / "broken")}
    assert len(begun) == 3
    result = convert(samples, tmp_path / "broken")
    assert result.present == 3
    assert begun.isdisjoint(result.written)
    assert len(result.written) == 3
    convert(samples, tmp_path / "unbroken")
    for path in (tmp_path / "unbroken").iterdir():
        assert (tmp_path / "broken" / path.name).read_bytes() == path.read_bytes()
    assert convert(samples, tmp_path / "broken").written == []


def test_chips_that_are_there_and_not_what_is_asked_for_are_not_passed_over(make, tmp_path) -> None:
    l1c = list_samples([make(MIXED[:3])])
    convert(l1c[:2], tmp_path / "chips", bands=["red", "nir"])
    with pytest.raises(OptionError, match=r"\.tif: is there with the bands red, nir, not coastal"):
        convert(l1c, tmp_path / "chips")
    l2a = list_samples([make(MIXED[:3], name="other", level="l2a")])
    with pytest.raises(OptionError, match="some of these samples at level l1c, not l2a"):
        convert(l2a, tmp_path / "chips", level="l2a", bands=["red", "nir"])
    assert convert(l1c, tmp_path / "chips", bands=["B04", "B08"]).written == [l1c[2].id]
    assert convert(l2a[2:], tmp_path / "new", level="l2a", bands=["red", "nir"]).present == 0


def test_progress_counts_every_sample(make, tmp_path) -> None:
    seen = []
    convert(list_samples([make(MIXED[:3])]), tmp_path / "chips", report=seen.append)
    assert [(p.done, p.total) for p in seen] == [(1, 3), (2, 3), (3, 3)]


def test_places_in_several_parts_of_the_split_are_told(make, tmp_path) -> None:
    source = make([Spec("a", "ROI_1", "train"), Spec("b", "ROI_1", "test"), Spec("c", "ROI_2")])
    with pytest.warns(GeomaskWarning, match="1 of 2 places in more than one part"):
        convert(list_samples([source]), tmp_path / "chips")


def damaged(sample: Path, how: str) -> None:
    """Damage the middle one of three equal samples."""
    data = bytearray(sample.read_bytes())
    table = tacoreader.v1.load(str(sample))
    offset, length = (int(table[f"tortilla:{key}"].iloc[1]) for key in ("offset", "length"))
    inner = unpack(bytes(data[offset : offset + length]))
    image = data.index(inner["s2l1c"], offset)
    if how == "magic":
        data[offset] ^= 0xFF
    elif how == "table":
        data[offset + 5] ^= 0x10  # its own table is said to lie beyond its end
    elif how == "tiff":
        data[image] ^= 0xFF
    elif how == "pixels":
        data[image + 300 : image + len(inner["s2l1c"]) - 20] = bytes(len(inner["s2l1c"]) - 320)
    sample.write_bytes(data)


@pytest.mark.parametrize("how", ["magic", "table", "tiff", "pixels"])
def test_a_damaged_sample_is_left_out_and_told(make, tmp_path, capfd, how) -> None:
    source = make([Spec("a"), Spec("b"), Spec("c")])
    damaged(source, how)
    result = convert(list_samples([source]), tmp_path / "chips")
    assert result.written == ["a", "c"]
    assert len(result.left_out) == 1
    assert "set.tortilla: b is damaged: " in result.left_out[0]
    assert {chip.id for chip in read_manifest(tmp_path / "chips")} == {"a", "c"}
    assert capfd.readouterr().out == ""


def odd_sample(folder: Path, **files: Path) -> Path:
    """A set of one sample with these files."""
    inner = folder / "inner.tortilla"
    inner.write_bytes(pack({name: path.read_bytes() for name, path in files.items()}))
    sample = upstream_sample(
        id="a", path=inner, file_format="TORTILLA", data_split="train", roi_id="ROI_1",
        label_type="high", real_proj_shape=REAL,
    )  # fmt: skip
    return write_tortilla(folder / "odd.tortilla", [sample])


def test_an_image_and_labels_that_do_not_agree_are_left_out(tmp_path) -> None:
    image, target = write_files(tmp_path, Spec("a"))
    names = tmp_path / "names", tmp_path / "few", tmp_path / "small", tmp_path / "moved"
    write_tif(names[0], image_of(Spec("a")), names=["B02", *["B01"] * 12])
    write_tif(names[1], image_of(Spec("a"))[:4])
    write_tif(names[2], codes_of(Spec("a"))[None, :-1])
    write_tif(names[3], codes_of(Spec("a"))[None], crs="EPSG:32615")
    strange = write_tif(tmp_path / "strange", np.full((1, SIZE, SIZE), 4, np.uint8))
    unlabelled = write_tif(tmp_path / "unlabelled", np.full((1, SIZE, SIZE), 99, np.uint8))
    floats = write_tif(tmp_path / "floats", image_of(Spec("a")).astype(np.float32))
    cases = [
        ({"s2l1c": names[0], "target": target}, "its band 1 is called blue, not coastal"),
        ({"s2l1c": names[1], "target": target}, "its image has 4 bands; level l1c has 13"),
        ({"s2l1c": image, "target": names[2]}, r"16\) pixels and its labels \(15, 16\)"),
        ({"s2l1c": image, "target": names[3]}, "lie in different places"),
        ({"s2l1c": image, "target": strange}, "the code 4; those of type high are 0 to 3"),
        ({"s2l1c": image, "target": unlabelled}, "no pixel is both measured and labelled"),
        ({"s2l1c": floats, "target": target}, "is float32; expected uint16"),
        ({"s2l1c": image}, "it holds s2l1c; expected s2l1c and target"),
    ]
    for number, (files, reason) in enumerate(cases):
        folder = tmp_path / f"case{number}"
        folder.mkdir()
        result = convert(list_samples([odd_sample(folder, **files)]), folder / "chips")
        assert result.written == []
        assert len(result.left_out) == 1
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(result.left_out[0])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8] ^= 0x80  # the table's offset
    path.write_bytes(data)


def flip_length(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[16] ^= 0x80
    path.write_bytes(data)


def flip_magic(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 0xFF
    path.write_bytes(data)


def flip_table(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PAR1")] ^= 0xFF
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        *((".tortilla", damage) for damage in (cut, flip_header, flip_length, flip_magic, empty)),
        *((".tacozip", damage) for damage in (cut, flip_magic, flip_table, empty)),
    ],
)
def test_a_damaged_set_is_one_clear_sentence(make, capfd, suffix, damage) -> None:
    source = make([Spec("a"), Spec("b")], suffix)
    damage(source)
    with pytest.raises(RecipeError, match="is damaged, or not the TACO file that its name") as told:
        list_samples([source])
    assert str(told.value).startswith(f"{source}: ")
    assert "\n" not in str(told.value)
    assert capfd.readouterr().out == ""


def test_a_set_that_lost_its_end_of_data_names_the_samples(make, tmp_path) -> None:
    """The table is whole, but says of a sample more bytes than there are."""
    source = make([Spec("a"), Spec("b")])
    samples = list_samples([source])
    source.write_bytes(source.read_bytes()[: samples[1].row["tortilla:offset"] + 50])
    result = convert(samples, tmp_path / "chips")
    assert result.written == ["a"]
    assert "b is damaged: 50 of its" in result.left_out[0]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nothing.taco", "no such file"),
        ("notes.txt", "is no TACO file; name one that ends in .taco, .tortilla, .tacozip"),
        ("folder", "has no file that ends in"),
    ],
)
def test_a_source_that_is_none_says_what_one_is(tmp_path, source, reason) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RecipeError, match=reason):
        list_samples([tmp_path / source])


def test_a_folder_stands_for_its_sets(make, tmp_path) -> None:
    make(MIXED[:2], name="one")
    make(MIXED[2:3], ".tacozip", name="two")
    assert [s.id for s in list_samples([tmp_path])] == ["a", "b", "c"]


def test_a_set_of_single_files_is_refused(tmp_path) -> None:
    files = write_files(tmp_path, Spec("a"))
    rows = [upstream_sample(id=p.name, path=p, file_format="GTiff") for p in files]
    with pytest.raises(RecipeError, match="s2l1c is a single file"):
        list_samples([write_tortilla(tmp_path / "flat.tortilla", rows)])


def test_the_other_level_is_refused_and_its_own_is_read(make, tmp_path) -> None:
    source = make([Spec("a")], level="l2a")
    with pytest.raises(OptionError, match="holds level l2a, not l1c; give --level l2a"):
        convert(list_samples([source]), tmp_path / "chips")
    convert(list_samples([source]), tmp_path / "chips", level="l2a")
    with rasterio.open(tmp_path / "chips" / "a.tif") as image:
        assert image.count == 12
        assert image.descriptions[-2:] == ("swir16", "swir22")
        assert image.read(12)[0, 0] == 1200


def test_bands_are_named_either_way_and_once() -> None:
    assert choose_bands("l1c", ["B04", "green", "B8A"]) == ("red", "green", "nir08")
    assert len(choose_bands("l1c", None)) == 13
    for wrong in (["B13"], ["red", "B04"], []):
        with pytest.raises(OptionError, match="--bands"):
            choose_bands("l1c", wrong)
    with pytest.raises(OptionError, match="'cirrus' is no band of level l2a"):
        choose_bands("l2a", ["cirrus"])


def test_without_network_a_published_set_says_so(monkeypatch) -> None:
    import requests

    def refuse(*_, **__):
        cause = OSError(-2, "Name or service not known")
        raise requests.ConnectionError("HTTPSConnectionPool(...)") from cause

    monkeypatch.setattr("requests.get", refuse)
    with pytest.raises(
        RecipeError,
        match=r"^tacofoundation:cloudsen12-l1c, which is listed on hugg"
        r".* could not be reached \(Name or service not known\); .*--source FILE",
    ):
        list_samples(["tacofoundation:cloudsen12-l1c"])


class Files(BaseHTTPRequestHandler):
    """A folder, in the ranges that are asked for; `failures` answers first are refusals."""

    folder: Path
    failures = 0
    ranges: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        data = (self.folder / self.path.lstrip("/")).read_bytes()
        asked = self.headers.get("Range")
        status = 206 if asked else 200
        if asked:
            first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
            data = data[first : last + 1]
            Files.ranges.append(asked)
        if asked and Files.failures:
            Files.failures -= 1
            status, data = 503, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def published(make, tmp_path, monkeypatch) -> Iterator[str]:
    """A set that the foundation publishes in two parts, on a server of this machine."""
    loader = importlib.import_module("tacoreader.v1.loader_utils")
    monkeypatch.setattr(Files, "folder", tmp_path, raising=False)
    monkeypatch.setattr(Files, "failures", 0)
    monkeypatch.setattr(Files, "ranges", [])
    monkeypatch.setattr(taco, "_PAUSES", (0, 0))
    monkeypatch.setattr(taco, "_READERS", 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    urls = []
    for name, specs in (("one", MIXED[:2]), ("two", MIXED[2:4])):
        make(specs, name=name).rename(tmp_path / f"{name}.taco")
        urls.append(f"http://127.0.0.1:{server.server_port}/{name}.taco")
    monkeypatch.setattr(loader, "load_tacofoundation_datasets", lambda: {"tiny-l1c": urls})
    yield urls[0].rpartition("/")[0]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_published_set_is_read_part_by_part_and_a_sample_in_one_range(
    published, tmp_path
) -> None:
    samples = list_samples(["tacofoundation:tiny-l1c"])
    assert [s.id for s in samples] == ["a", "b", "c", "d"]
    Files.ranges.clear()
    assert convert(samples, tmp_path / "chips").left_out == []
    assert len(Files.ranges) == 4
    assert rows_of(tmp_path / "chips")["c"]["source"] == f"{published}/two.taco"
    with rasterio.open(tmp_path / "chips" / "c_mask.tif") as mask:
        assert mask.read(1)[:4, 0].tolist() == [0, 1, 2, 3]
    with pytest.raises(RecipeError, match="publishes no such set; it has tiny-l1c"):
        list_samples(["tacofoundation:tiny-l2a"])


def test_a_range_that_fails_is_asked_for_again_and_then_stops_the_run(published, tmp_path) -> None:
    samples = list_samples(["tacofoundation:tiny-l1c"])
    Files.failures = 2
    assert convert(samples[:1], tmp_path / "chips").written == ["a"]
    Files.failures = 99
    with pytest.raises(RecipeError, match=r"one\.taco could not be reached .*give local files"):
        convert(samples, tmp_path / "chips")
    Files.failures = 0
    assert convert(samples, tmp_path / "chips").written == ["b", "c", "d"]


def test_a_missing_part_stops_rather_than_being_passed_over(published, tmp_path) -> None:
    (tmp_path / "two.taco").write_bytes(b"<html>too many requests</html>")
    with pytest.raises(RecipeError, match=r"two\.taco could not be reached"):
        list_samples(["tacofoundation:tiny-l1c"])


def test_the_licence_is_what_a_taco_says_of_itself(make, tmp_path) -> None:
    data = bytearray(make([Spec("a")]).read_bytes())
    collection = b'{"id": "tiny", "licenses": ["cc0-1.0"]}'
    numbers = (len(data), len(collection))
    data[:2], data[26:42] = b"WX", b"".join(number.to_bytes(8, "little") for number in numbers)
    (tmp_path / "whole.taco").write_bytes(data + collection)
    convert(list_samples([tmp_path / "whole.taco"]), tmp_path / "chips")
    assert rows_of(tmp_path / "chips")["a"]["licence"] == "cc0-1.0"


def test_tacoreader_leaves_logging_as_it_was() -> None:
    code = (
        "import logging\n"
        "from geomask.training import taco\n"
        "taco._tacoreader('tacoreader.v1')\n"
        "root = logging.getLogger()\n"
        "assert (root.handlers, root.level) == ([], logging.WARNING), root"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("kind", [".tortilla", ".tacozip"])
def test_a_subset_has_the_samples_bytes_and_what_the_set_said_of_them(
    make, tmp_path, suffix, kind
) -> None:
    chosen = select(list_samples([make(MIXED, suffix)]), replace(ANY, country="Mexico"))
    result = write_subset(chosen, tmp_path / f"small{kind}")
    again = list_samples([tmp_path / f"small{kind}"])
    assert [s.id for s in again] == result.written == [s.id for s in chosen]
    for old, new in zip(chosen, again, strict=True):
        assert new.read().files == dict(old.read().files)
        for name in ("roi_id", "label_type", "real_proj_shape", "thick_percentage"):
            assert new.row[name] == old.row[name]
    convert(chosen, tmp_path / "from_set")
    convert(again, tmp_path / "from_subset")
    first, second = rows_of(tmp_path / "from_set"), rows_of(tmp_path / "from_subset")
    assert second == first  # source and licence are the set's own, not the subset's
    assert ids_of([tmp_path / f"small{kind}"], country="mexico", split="train") == set("abf")


def test_tacoreader_itself_reads_a_subset(make, tmp_path) -> None:
    write_subset(list_samples([make(MIXED)]), tmp_path / "small.tortilla")
    table = tacoreader.v1.load(str(tmp_path / "small.tortilla"))
    assert table["rai:admin0"].tolist() == [spec.country for spec in MIXED]
    with rasterio.open(table.read(3).read(1)) as target:
        assert (target.read(1) == codes_of(MIXED[3])).all()


def test_a_subset_leaves_damaged_samples_out(make, tmp_path) -> None:
    source = make([Spec("a"), Spec("b"), Spec("c")])
    damaged(source, "tiff")
    result = write_subset(list_samples([source]), tmp_path / "small.tortilla")
    assert result.written == ["a", "c"]
    assert len(result.left_out) == 1
    assert [s.id for s in list_samples([tmp_path / "small.tortilla"])] == ["a", "c"]


def test_a_subset_is_complete_or_not_there(make, tmp_path, monkeypatch) -> None:
    source = make(MIXED[:3])
    samples = list_samples([source])
    target = tmp_path / "small.tortilla"

    def stop(progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_subset(samples, target, report=stop)
    assert not target.exists()
    write_subset(samples[:1], target)
    before = target.read_bytes()
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        write_subset(samples, target)
    with pytest.raises(OutputError, match="is an input of this run"):
        write_subset(samples, source, overwrite=True)
    monkeypatch.setattr("geomask.training.cloudsen12_subset._checksum", lambda content: id(content))
    with pytest.raises(OutputError, match="does not read back"):
        write_subset(samples, target, overwrite=True)
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_subset_of_nothing_but_damage_is_not_written(make, tmp_path) -> None:
    source = make([Spec("a", labels=(99,))])
    with pytest.raises(OutputError, match="every sample is damaged"):
        write_subset(list_samples([source]), tmp_path / "small.tortilla")
    assert not (tmp_path / "small.tortilla").exists()


def test_another_kind_or_no_tacotoolbox_is_told_before_anything_is_read(
    make, tmp_path, monkeypatch
) -> None:
    samples = list_samples([make(MIXED[:1])])
    with pytest.raises(OptionError, match=r"is neither \.tortilla nor \.tacozip"):
        write_subset(samples, tmp_path / "small.zip")
    monkeypatch.setitem(sys.modules, "tacotoolbox", None)
    with pytest.raises(OptionError, match=r"geomask\[taco\]"):
        write_subset(samples, tmp_path / "small.tacozip")
