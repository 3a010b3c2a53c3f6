"""Folders and zips as archives deliver them: what is in them is read, what is wrong is said."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from geomask import open_scene, predict_scene
from geomask.errors import BandError, GeomaskError, GeomaskWarning, OutputError, SceneError
from geomask.scene import delivery
from geomask.scene.delivery import find_delivery
from tests.conftest import identity_model, read
from tests.scene.products import Safe, read_bands, write_bands, write_safe, zip_folder

RGN = ("red", "green", "nir")


@pytest.fixture
def safe(tmp_path: Path) -> Safe:
    return write_safe(tmp_path / "products", "L1C")


# Where it is


def test_every_way_to_point_at_a_product_is_one_scene(
    safe: Safe, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = read_bands(safe.root, RGN)
    monkeypatch.chdir(safe.root)
    inside = [".", "./", "MTD_MSIL1C.xml", "./MTD_MSIL1C.xml", "../", safe.granule / ".." / ".."]
    for given_path in (
        safe.xml,
        safe.root.parent,
        safe.root.parent.parent,
        f"{safe.root}/",
        *inside,
    ):
        with open_scene(given_path) as scene:
            assert scene.kind == "Sentinel-2 L1C SAFE"
            assert scene.path == str(given_path)
            reflectance, _ = scene.read(Window(0, 0, 36, 36), RGN)
            np.testing.assert_array_equal(reflectance, expected)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("within", [None, "", "a/b/c.SAFE"])
def test_a_zip_is_the_folder(safe: Safe, tmp_path: Path, method: int, within: str | None) -> None:
    file = zip_folder(safe.root, tmp_path / "product.zip", method=method, within=within)
    expected, valid = read_bands(safe.root, (*RGN, "swir16"))
    with open_scene(safe.root) as folder, open_scene(file) as scene:
        reflectance, also = scene.read(Window(0, 0, 36, 36), (*RGN, "swir16"))
        assert scene.acquisition == folder.acquisition
        assert scene.grid == folder.grid
        assert scene.radiometry(RGN) == folder.radiometry(RGN)
        assert scene.provenance == folder.provenance
        assert scene.kind == "Sentinel-2 L1C SAFE in a zip"
        assert scene.files == (str(file),)
    np.testing.assert_array_equal(reflectance, expected)
    np.testing.assert_array_equal(also, valid)


def test_a_zip_gives_the_mask_of_its_folder_and_is_not_overwritten(
    safe: Safe, tmp_path: Path
) -> None:
    file = zip_folder(safe.root, tmp_path / "product.zip")
    for path, name in ((safe.root, "a.tif"), (file, "b.tif")):
        predict_scene(path, tmp_path / name, model=identity_model())
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))
    with pytest.raises(OutputError, match=r"product\.zip"):
        predict_scene(file, file, model=identity_model(), overwrite=True)


@pytest.mark.parametrize(
    "name",
    ["with space", "Größe", "a#b?c&d", "100%25", "a{b}c", "a!b", "x,y;z", "'quoted\"", "of.zip"],
)
def test_names_of_folders_do_not_matter(tmp_path: Path, name: str) -> None:
    safe = write_safe(tmp_path / name, "L1C")
    file = zip_folder(safe.root, tmp_path / name / "product.zip", within=f"{name}/{safe.root.name}")
    expected, _ = read_bands(safe.root, RGN)
    np.testing.assert_array_equal(read_bands(file, RGN)[0], expected)
    assert expected[0, 0, 0] == pytest.approx(0.0310, abs=1e-6)


def test_a_relative_zip_is_read_from_anywhere(
    safe: Safe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zip_folder(safe.root, tmp_path / "PRODUCT.ZIP")
    monkeypatch.chdir(tmp_path)
    with open_scene("PRODUCT.ZIP") as scene:
        monkeypatch.chdir(safe.root)
        assert scene.read(Window(0, 0, 36, 36), RGN)[1].all()


def test_what_a_mac_leaves_behind_is_not_looked_at(safe: Safe, tmp_path: Path) -> None:
    for file in sorted(safe.root.rglob("*.*")):
        if file.is_file():
            file.with_name(f"._{file.name}").write_bytes(b"\x00\x05\x16\x07")
    (safe.root / "GRANULE" / ".DS_Store").write_bytes(b"\x00")
    expected, _ = read_bands(safe.root, RGN)
    file = zip_folder(safe.root, tmp_path / "mac.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"__MACOSX/{safe.root.name}/._MTD_MSIL1C.xml", b"\x00\x05\x16\x07")
    np.testing.assert_array_equal(read_bands(file, RGN)[0], expected)


def test_a_zip_of_band_files_is_the_folder(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "bands", {"x_red.tif": 1000, "x_green.jp2": 2000})
    for within in ("", None, "some/where"):
        file = zip_folder(folder, tmp_path / "bands.zip", within=within)
        with open_scene(file, scale=1e-4, offset=0, nodata=0) as scene:
            assert scene.kind == "zip of band files"
            values, _ = scene.read(Window(0, 0, 36, 36), ("red", "green"))
            np.testing.assert_allclose(values[:, 0, 0], [0.1, 0.2], atol=1e-6)
        file.unlink()


def test_what_is_no_delivery_is_left_to_others(tmp_path: Path, safe: Safe) -> None:
    (tmp_path / "notes.xml").write_text("<a/>")
    for path in (
        "https://example.com/a.zip",
        "s3://bucket/S2.SAFE",
        "/vsizip/a.zip",
        str(tmp_path / "absent.zip"),
        str(tmp_path / "absent.SAFE"),
        str(tmp_path / "notes.xml"),
        str(safe.image("B04")),
    ):
        assert find_delivery(path) is None


def test_an_empty_path_is_not_the_current_folder(
    safe: Safe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(safe.root)
    with pytest.raises(SceneError, match="path is empty"):
        open_scene("")


def test_a_name_that_is_no_text_is_an_error_and_no_crash(safe: Safe) -> None:
    odd = os.fsencode(safe.root.parent / "x") + b"\xff"
    safe.root.rename(os.fsdecode(odd))
    with pytest.raises(SceneError, match="is not a raster that GDAL can open"):
        open_scene(os.fsdecode(odd))


# Zips that mean harm


CLIMBERS = [
    "../MTD_MSIL1C.xml",
    "a/../../MTD_MSIL1C.xml",
    "a/..",
    "..",
    "/etc/passwd",
    "//server/share/x",
    "C:\\x.xml",
    "C:/x.xml",
    "c:x.xml",
    "a\\..\\..\\x.xml",
    "\\\\server\\x.xml",
    "x:stream",
]


@pytest.mark.parametrize("name", CLIMBERS)
def test_a_zip_with_a_path_that_leads_out_is_not_opened(
    safe: Safe, tmp_path: Path, name: str
) -> None:
    file = zip_folder(safe.root, tmp_path / "evil.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(SceneError, match=r"evil\.zip: holds .*leads out of it") as error:
        open_scene(file)
    assert repr(name) in str(error.value)


def test_dots_that_lead_nowhere_are_read(safe: Safe, tmp_path: Path) -> None:
    file = tmp_path / "dots.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in safe.root.rglob("*"):
            archive.write(path, f"./{safe.root.name}/{path.relative_to(safe.root)}")
        archive.writestr("read..me.txt", "x")
    assert read_bands(file, RGN)[1].all()


def encrypted(folder: Path, file: Path, only: str) -> Path:
    """A zip of the folder with the flag of encryption, and scrambled, where names end so."""
    zip_folder(folder, file, method=zipfile.ZIP_STORED)
    with zipfile.ZipFile(file) as archive:
        entries = [e for e in archive.infolist() if e.filename.endswith(only) and not e.is_dir()]
        directory = archive.start_dir
    data = bytearray(file.read_bytes())
    for entry in entries:
        data[entry.header_offset + 6] |= 1
        start = entry.header_offset + 30 + len(entry.filename.encode())
        for i in range(start, start + entry.file_size):
            data[i] ^= 0x5A
        data[data.index(entry.filename.encode(), directory) - 46 + 8] |= 1
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("only", ["", ".xml", ".jp2"])
def test_an_encrypted_zip_is_refused(safe: Safe, tmp_path: Path, only: str) -> None:
    file = encrypted(safe.root, tmp_path / "secret.zip", only)
    with pytest.raises(SceneError, match=r"secret\.zip: its .* is encrypted; unpack it"):
        open_scene(file)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_gdal_cannot_unpack_is_refused(safe: Safe, tmp_path: Path, method: int) -> None:
    file = zip_folder(safe.root, tmp_path / "odd.zip", method=method)
    with pytest.raises(SceneError, match=r"odd\.zip"):
        open_scene(file)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_a_truncated_zip_is_refused(safe: Safe, tmp_path: Path, share: float) -> None:
    file = zip_folder(safe.root, tmp_path / "product.zip")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SceneError, match=r"product\.zip: is not a zip file.*download it again"):
        open_scene(file)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"<html>Session expired</html>", b"PK\x03\x04" + b"\x00" * 200]
)
def test_a_zip_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "product.zip"
    file.write_bytes(content)
    with pytest.raises(SceneError, match=r"product\.zip: is not a zip file"):
        open_scene(file)


def test_a_zip_of_nothing_or_of_folders_only_is_refused(tmp_path: Path) -> None:
    for index, names in enumerate([(), ("a/", "a/b/", "S2.SAFE/")]):
        file = tmp_path / f"{index}.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        with pytest.raises(BandError, match="no product that geomask knows"):
            open_scene(file)


def test_damaged_metadata_in_a_zip_are_noticed(safe: Safe, tmp_path: Path) -> None:
    file = zip_folder(safe.root, tmp_path / "product.zip", method=zipfile.ZIP_STORED)
    data = file.read_bytes()
    assert data.count(b"<QUANTIFICATION_VALUE unit=") == 1
    file.write_bytes(data.replace(b">10000<", b">20000<"))
    with pytest.raises(SceneError, match=r"MTD_MSIL1C\.xml: cannot be read: Bad CRC"):
        open_scene(file)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("archive")
    safe = write_safe(folder, "L1C")
    return zip_folder(safe.root, folder / "product.zip").read_bytes()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_mutated_zip_is_a_scene_or_one_of_our_errors(
    archive: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(archive)
    directory = content.find(b"PK\x01\x02")
    for _ in range(data.draw(st.integers(1, 4))):
        low = data.draw(st.sampled_from([0, directory, len(content) - 22]))
        content[data.draw(st.integers(low, len(content) - 1))] = data.draw(st.integers(0, 255))
    # A new name each time, since GDAL remembers the directory of a zip.
    file = tmp_path / f"{len(list(tmp_path.iterdir()))}.zip"
    file.write_bytes(content)
    said = str(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        try:
            with open_scene(file) as scene:
                scene.read(Window(0, 0, 6, 6), RGN)
        except GeomaskError as error:
            said = str(error)
    assert str(file) in said
    os.truncate(file, 0)


# Folders that mean harm


@pytest.mark.parametrize("zipped", [False, True])
def test_more_files_than_any_product_has_are_refused(
    safe: Safe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    path = zip_folder(safe.root, tmp_path / "big.zip") if zipped else safe.root
    monkeypatch.setattr(delivery, "MAX_FILES", 5)
    with pytest.raises(SceneError, match="more than 5 files; give"):
        open_scene(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_metadata_too_large_to_be_any_are_refused(
    safe: Safe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    path = zip_folder(safe.root, tmp_path / "big.zip") if zipped else safe.root
    monkeypatch.setattr(delivery, "MAX_TEXT", 1000)
    with pytest.raises(SceneError, match=r"MTD_MSIL1C\.xml: is over 1000 bytes"):
        open_scene(path)


def test_links_that_go_round_in_circles_do_not_hang(safe: Safe) -> None:
    (safe.root / "loop").symlink_to(safe.root)
    (safe.granule / "IMG_DATA" / "up").symlink_to(safe.root.parent)
    (safe.root / "self").symlink_to(safe.root / "self")
    (safe.root / "nowhere").symlink_to(safe.root / "absent")
    assert read_bands(safe.root, RGN)[1].all()
    assert read_bands(safe.root / "loop", RGN)[1].all()
    safe.image("B04").unlink()
    safe.image("B04").symlink_to(safe.image("B04"))
    with pytest.raises(SceneError, match=r"_B04\.jp2"):
        open_scene(safe.root)


def test_metadata_that_are_a_link_to_nowhere_are_an_error_that_names_them(safe: Safe) -> None:
    safe.xml.unlink()
    safe.xml.symlink_to(safe.xml)
    with pytest.raises(SceneError, match=r"MTD_MSIL1C\.xml: cannot be read"):
        open_scene(safe.root)


def test_a_folder_that_is_a_link_is_looked_into(safe: Safe, tmp_path: Path) -> None:
    (safe.root / "GRANULE").rename(tmp_path / "pool")
    (safe.root / "GRANULE").symlink_to(tmp_path / "pool")
    assert read_bands(safe.root, RGN)[1].all()


def test_links_to_the_files_themselves_are_followed(safe: Safe, tmp_path: Path) -> None:
    (tmp_path / "link.SAFE").symlink_to(safe.root)
    other = tmp_path / "elsewhere.jp2"
    safe.image("B04").rename(other)
    safe.image("B04").symlink_to(other)
    assert read_bands(tmp_path / "link.SAFE", RGN)[1].all()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("which", ["folder", "inner folder", "metadata"])
def test_what_may_not_be_read_is_said(safe: Safe, which: str) -> None:
    locked = {"folder": safe.root, "inner folder": safe.granule, "metadata": safe.xml}[which]
    locked.chmod(0)
    try:
        with pytest.raises(SceneError, match="cannot be read: Permission denied"):
            open_scene(safe.root)
    finally:
        locked.chmod(0o755)


def test_a_folder_that_cannot_be_listed_is_said(
    safe: Safe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for those who test as root."""

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SceneError, match="cannot be read: Permission denied"):
        open_scene(safe.root)


def test_a_product_far_below_the_folder_is_not_searched_for(safe: Safe) -> None:
    deep = safe.root.parent
    for _ in range(8):
        deep = deep / "x"
    deep.mkdir(parents=True)
    safe.root.rename(deep / safe.root.name)
    with pytest.raises(BandError, match="no product that geomask knows"):
        open_scene(safe.root.parent)
    assert read_bands(deep, RGN)[1].all()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BandError, match=r"no product that geomask knows.*there is no raster"):
        open_scene(tmp_path)


def test_every_window_of_a_zip_can_be_asked_for_from_threads(safe: Safe, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    file = zip_folder(safe.root, tmp_path / "product.zip")
    expected, _ = read_bands(safe.root, RGN)
    windows = [Window(c, r, 12, 12) for r in range(0, 36, 12) for c in range(0, 36, 12)]
    with open_scene(file) as scene, ThreadPoolExecutor(4) as pool:
        task: Callable[[Window], object] = lambda window: scene.read(window, RGN)[0]  # noqa: E731
        for window, part in zip(windows, pool.map(task, windows), strict=True):
            np.testing.assert_array_equal(part, expected[:, *window.toslices()])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_band_that_is_not_what_the_zip_says_is_noticed(
    safe: Safe, tmp_path: Path, method: int
) -> None:
    """GDAL does not look at a zip's checksums; lossless JPEG 2000 has none."""
    path = zip_folder(safe.root, tmp_path / "p.zip", method=method)
    with zipfile.ZipFile(path) as archive:
        name = str(safe.image("B04").relative_to(safe.root.parent))
        entry = archive.getinfo(name)
    data = bytearray(path.read_bytes())
    # The last byte of the image, or of what it was packed to, but for its end's marker.
    start = entry.header_offset + 30 + len(name.encode()) + entry.compress_size
    data[start - 6] ^= 1
    path.write_bytes(data)
    with (
        open_scene(path) as scene,
        pytest.raises(SceneError, match=r"p\.zip: its .*B04\.jp2 is damaged"),
    ):
        scene.read(Window(0, 0, 36, 36), ("red",))
    with open_scene(path) as scene:
        scene.read(Window(0, 0, 36, 36), ("green",))
