"""Chip folders being written: what reads back, and what a crash leaves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from geomask.errors import BandError, OptionError, OutputError, RecipeError
from geomask.training.chip_folder import ChipFolder
from geomask.training.chips import read_image, read_labels, read_manifest

PLACE = {"crs": "EPSG:32633", "transform": Affine(10, 0, 5e5, 0, -10, 5e6)}
BANDS = ("red", "nir")


def pixels(value: int = 1000, side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """(DN uint16 (2, side, side), labels uint8), unlike any other value's."""
    image = np.full((2, side, side), value, np.uint16)
    image[1] += np.arange(side, dtype=np.uint16)
    return image, np.full((side, side), value % 5, np.uint8)


def add(folder: ChipFolder, name: str, value: int = 1000, **changes) -> None:
    image, labels = pixels(value)
    given = {"bands": BANDS, **PLACE, "group": f"place of {name}", **changes}
    folder.add(name, image, labels, **given)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("values", "scale", "offset", "nodata", "reflectance"),
    [
        (np.array([0, 1, 1000, 65535], np.uint16), 1e-4, -0.1, 0, [np.nan, -0.0999, 0, 6.4535]),
        (np.array([-9999, -1, 0, 9000], np.int16), 1e-4, 0.0, -9999, [np.nan, -1e-4, 0, 0.9]),
        (np.array([0, 1, 100, 255], np.uint8), 0.004, 0.0, None, [0, 0.004, 0.4, 1.02]),
        (np.array([np.nan, -0.02, 0.3, 2], np.float32), 1.0, 0.0, None, [np.nan, -0.02, 0.3, 2]),
        (np.array([70000, 0, -5, 7], np.int32), 1e-5, 0.0, 7, [0.7, 0, -5e-5, np.nan]),
    ],
)  # fmt: skip
def test_what_is_written_reads_back_as_reflectance(
    tmp_path, values, scale, offset, nodata, reflectance
) -> None:
    image = np.stack([values.reshape(2, 2), values.reshape(2, 2)[::-1]])
    labels = np.array([[0, 4], [255, 3]], np.uint8)
    folder = ChipFolder(tmp_path / "chips", columns=())
    folder.add("a.b-1", image, labels, bands=BANDS, **PLACE, group="g", scale=scale,
               offset=offset, nodata=nodata)  # fmt: skip
    (chip,) = read_manifest(tmp_path / "chips")
    read = read_image(chip, ("nir", "red"))
    expected = np.array(reflectance).reshape(2, 2)
    np.testing.assert_allclose(read[1], expected, atol=1e-6)
    np.testing.assert_allclose(read[0], expected[::-1], atol=1e-6)
    np.testing.assert_array_equal(read_labels(chip), labels)
    assert (chip.id, chip.group, chip.gsd) == ("a.b-1", "g", pytest.approx(10))
    for path in (chip.image, chip.mask):
        with rasterio.open(path) as dataset:
            assert (dataset.crs, dataset.transform) == (PLACE["crs"], PLACE["transform"])
            assert dataset.profile["tiled"]
            assert dataset.compression.name == "deflate"


def test_a_chip_of_no_place_is_written_without_a_word(tmp_path) -> None:
    folder = ChipFolder(tmp_path, columns=["gsd_m"])
    place = {"crs": None, "transform": Affine.identity()}
    add(folder, "a", **place, fields={"gsd_m": "5.8"})
    (chip,) = read_manifest(tmp_path)
    assert chip.gsd == 5.8


def test_the_manifest_has_its_columns_in_order_and_text_as_given(tmp_path) -> None:
    folder = ChipFolder(tmp_path, columns=("source", "split", "licence"))
    fields = {"split": "val", "source": 'a "scene", cut\nin two'}
    add(folder, "a", group="Ländli, west", fields=fields)
    assert (tmp_path / "manifest.csv").read_text("utf-8").splitlines()[0] == (
        "id,split_group,split,source,licence"
    )
    (chip,) = read_manifest(tmp_path)
    assert chip.fields == {"id": "a", "split_group": "Ländli, west", "licence": "", **fields}


def test_an_existing_manifest_keeps_its_columns_and_rows(chip_folder) -> None:
    place = chip_folder(count=2, sensor="S2")
    text = (place / "manifest.csv").read_text()
    (place / "manifest.csv").write_text("\ufeff" + text, "utf-8")  # as Excel saves it
    folder = ChipFolder(place, columns=("split", "source"))
    assert folder.ids == {"chips0", "chips1"}
    add(folder, "new", fields={"split": "train"})
    chips = read_manifest(place)
    assert [chip.id for chip in chips] == ["chips0", "chips1", "new"]
    assert list(chips[0].fields) == ["id", "split_group", "split", "sensor", "source"]
    assert [chip.fields["sensor"] for chip in chips] == ["S2", "S2", ""]


def test_a_chip_without_its_files_is_not_there_and_can_be_added(chip_folder) -> None:
    place = chip_folder(count=2)
    (place / "chips0_mask.tif").unlink()
    folder = ChipFolder(place, columns=())
    assert folder.ids == {"chips1"}
    add(folder, "chips0")
    assert folder.ids == {"chips0", "chips1"}
    assert {chip.id for chip in read_manifest(place)} == {"chips0", "chips1"}


def test_a_chip_is_replaced_only_where_that_is_asked_for(tmp_path) -> None:
    folder = ChipFolder(tmp_path, columns=())
    add(folder, "a", 1000)
    add(folder, "b", 1001)
    (tmp_path / "a.tif.ovr").write_bytes(b"of QGIS")
    with pytest.raises(OutputError, match=r"a\.tif: exists .* --overwrite"):
        add(folder, "a", 2002)
    assert read_labels(read_manifest(tmp_path)[0])[0, 0] == 0
    add(folder, "a", 2002, overwrite=True)
    chips = {chip.id: chip for chip in read_manifest(tmp_path)}
    assert set(chips) == {"a", "b"}
    assert read_labels(chips["a"])[0, 0] == 2
    assert not (tmp_path / "a.tif.ovr").exists(), "overviews of what is no longer there"


@pytest.mark.parametrize(
    "name", ["", ".hidden", "a/b", "../a", "a b", "a\\b", "a_mask", "a\n", "x" * 151, "ü" * 120]
)
def test_an_id_that_is_no_file_name_is_refused(tmp_path, name) -> None:
    folder = ChipFolder(tmp_path / "chips", columns=())
    with pytest.raises(OptionError, match="cannot be a chip's id"):
        add(folder, name)
    assert not (tmp_path / "chips").exists()


def test_a_chip_without_a_group_is_refused(tmp_path) -> None:
    with pytest.raises(OptionError, match="chip a has no group"):
        add(ChipFolder(tmp_path, columns=()), "a", group=" ")


def test_what_would_not_read_back_as_meant_is_refused(tmp_path) -> None:
    folder = ChipFolder(tmp_path, columns=("x",))
    with pytest.raises(ValueError, match="would be read as not stated"):
        add(folder, "a", scale=1.0)
    with pytest.raises(ValueError, match=r"of bands \('red',\)"):
        add(folder, "a", bands=("red",))
    with pytest.raises(BandError, match="red, B8: are not common names"):
        add(folder, "a", bands=("red", "B8"))
    with pytest.raises(ValueError, match=r"no columns for fields \['y'\]"):
        add(folder, "a", fields={"y": ""})
    image, labels = pixels()
    with pytest.raises(ValueError, match="image is float64"):
        folder.add("a", image.astype(float), labels, bands=BANDS, **PLACE, group="g")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_things_is_refused(tmp_path) -> None:
    (tmp_path / "scene.tif").write_bytes(b"")
    with pytest.raises(OutputError, match=r"holds scene\.tif and no manifest\.csv"):
        ChipFolder(tmp_path, columns=())
    with pytest.raises(OutputError, match=r"scene\.tif: is a file"):
        ChipFolder(tmp_path / "scene.tif", columns=())


@pytest.mark.parametrize(
    "text",
    ["", "id\na\n", "id,split_group\na\n", "id,split_group\na,b,c\n", "id,split_group\na,b\na,b\n"],
)
def test_a_manifest_that_cannot_be_added_to_is_refused(tmp_path, text) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(RecipeError, match="no manifest that can be added to"):
        ChipFolder(tmp_path, columns=())


def test_chips_that_are_dropped_are_gone_with_their_files(tmp_path) -> None:
    folder = ChipFolder(tmp_path, columns=())
    for name in "abc":
        add(folder, name)
    folder.drop({"a", "c", "never there"})
    assert folder.ids == {"b"}
    folder.close()
    assert {path.name for path in tmp_path.iterdir()} == {"b.tif", "b_mask.tif", "manifest.csv"}


def test_nothing_hidden_stays_once_the_folder_is_let_go(tmp_path) -> None:
    folder = ChipFolder(tmp_path, columns=())
    add(folder, "a")
    assert hidden(tmp_path)
    del folder
    assert not hidden(tmp_path)


def test_a_full_disk_is_said_and_leaves_no_chip(tmp_path, monkeypatch) -> None:
    folder = ChipFolder(tmp_path, columns=())
    add(folder, "a")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("geomask.training.chip_raster.os.fsync", full)
        with pytest.raises(OutputError, match=r"b\.tif: could not be written: No space left"):
            add(folder, "b")
    assert folder.ids == {"a"}
    folder.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_raster_that_does_not_read_back_is_no_chip(tmp_path, monkeypatch) -> None:
    folder = ChipFolder(tmp_path, columns=())
    monkeypatch.setattr("geomask.training.chip_raster.np.array_equal", lambda *a, **k: False)
    with pytest.raises(OutputError, match="does not read back"):
        add(folder, "a")
    assert not list(tmp_path.glob("*.tif"))


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("step", range(13))
def test_a_crash_at_any_step_leaves_complete_chips_that_a_second_run_adds_to(
    tmp_path, monkeypatch, step, again
) -> None:
    """Killed before each change of the folder in turn: what is there is whole, old or new."""
    first = ChipFolder(tmp_path, columns=())
    add(first, "old", 1001)
    if again:
        add(first, "a", 1002)
    first.close()
    count = 0

    def step_by_step(move):
        def moved(self, *arguments, **options):
            nonlocal count
            if self.parent == tmp_path or arguments:
                if count == step:
                    raise KeyboardInterrupt
                count += 1
            return move(self, *arguments, **options)

        return moved

    crashed = ChipFolder(tmp_path, columns=())
    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, step_by_step(getattr(Path, name)))
        try:
            add(crashed, "a", 1004, overwrite=again)
        except KeyboardInterrupt:
            whole = {2}
        else:
            assert step == 12 or (step == 11 and not again), "all steps are tried"
            whole = {4}
    chips = {chip.id: chip for chip in read_manifest(tmp_path)}
    assert read_labels(chips["old"])[0, 0] == 1
    if "a" in chips:
        number = int(read_labels(chips["a"])[0, 0])
        assert number in whole
        assert read_image(chips["a"], ("red",))[0, 0, 0] == pytest.approx(0.1 + number / 1e4)
    second = ChipFolder(tmp_path, columns=())
    assert second.ids == set(chips)
    if "a" not in second.ids:
        add(second, "a", 1004)
    assert {chip.id for chip in read_manifest(tmp_path)} == {"old", "a"}


ADDING = """
import sys
sys.path.insert(0, {tests!r})
from test_chip_folder import ChipFolder, add
folder = ChipFolder({folder!r}, columns=())
for number in range({count}):
    name = f"{name}{{number:03}}"
    if name not in folder.ids:
        add(folder, name, 1000 + number)
        print(name, flush=True)
"""


def adding(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Another process that adds chips."""
    code = ADDING.format(
        tests=str(Path(__file__).parent), folder=str(folder), name=name, count=count
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_killed_run_leaves_a_folder_that_the_next_one_completes(tmp_path) -> None:
    place = tmp_path / "chips"
    with adding(place, "a", 500) as run:
        for _ in range(5):
            run.stdout.readline()
        run.send_signal(signal.SIGKILL)
        run.stdout.read()
    assert hidden(place), "what the killed run was about"
    found = {chip.id for chip in read_manifest(place)}
    assert 5 <= len(found) < 500
    with ChipFolder(place, columns=()) as folder:
        assert folder.ids == found
        add(folder, f"a{len(found):03}")
    assert not hidden(place)
    assert len(read_manifest(place)) == len(found) + 1


def test_two_runs_add_to_one_folder_at_once(tmp_path) -> None:
    with adding(tmp_path, "a", 30) as first, adding(tmp_path, "b", 30) as second:
        first.communicate()
        second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    names = {f"{name}{number:03}" for name in "ab" for number in range(30)}
    assert {chip.id for chip in read_manifest(tmp_path)} == names
    assert not hidden(tmp_path)
