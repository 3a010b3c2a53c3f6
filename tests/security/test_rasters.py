"""A raster from a stranger asks no server, opens no other file and runs no code."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geomask import drivers, open_scene
from geomask.drivers import MAX_DEPTH, REACHING, drivers_for
from geomask.errors import MaskError, SceneError
from geomask.mask import open_mask
from geomask.raster import open_raster, quiet
from tests.conftest import random_dn, write_scene


@dataclass
class Listener:
    """A server that says nothing, and counts who comes. port: where it listens."""

    port: int
    visitors: list[str] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        found = Listener(server.getsockname()[1])
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                found.visitors.append(str(address))
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield found
        stop.set()
        thread.join()


def wms(port: int) -> str:
    """A file that GDAL's WMS driver opens."""
    return (
        f'<GDAL_WMS><Service name="WMS"><ServerUrl>http://127.0.0.1:{port}/?</ServerUrl>'
        "<Layers>a</Layers></Service><DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>9"
        "</UpperLeftY><LowerRightX>9</LowerRightX><LowerRightY>0</LowerRightY><SizeX>9</SizeX>"
        "<SizeY>9</SizeY></DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
    )


def wcs(port: int) -> str:
    """A file that makes GDAL's WCS driver ask a server when it is opened."""
    return (
        f"<WCS_GDAL><ServiceURL>http://127.0.0.1:{port}/?</ServiceURL>"
        "<Version>1.0.0</Version><CoverageName>a</CoverageName></WCS_GDAL>"
    )


def vrt(source: object, extra: str = "", relative: int = 0) -> str:
    """A VRT of one band from a source."""
    return (
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="UInt16" band="1" '
        f'subClass="VRTDerivedRasterBand">{extra}<Description>red</Description><SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def test_gdal_alone_would_ask_the_server(tmp_path: Path, listener: Listener) -> None:
    """Without which the tests below would prove nothing."""
    (tmp_path / "scene.tif").write_text(wcs(listener.port))
    with pytest.raises(rasterio.RasterioIOError):
        rasterio.open(tmp_path / "scene.tif")
    assert listener.visitors


@pytest.mark.parametrize("make", [wms, wcs])
def test_a_file_that_is_a_service_is_no_scene(
    tmp_path: Path, listener: Listener, make: object
) -> None:
    path = tmp_path / "scene.tif"
    path.write_text(make(listener.port))  # type: ignore[operator]
    with pytest.raises(SceneError, match="is not a raster that GDAL can open"):
        open_scene(path)
    with pytest.raises(MaskError, match="is not a raster that GDAL can open"), open_mask(path):
        pass
    assert not listener.visitors


@pytest.mark.parametrize("make", [wms, wcs])
def test_xml_in_the_place_of_a_path_is_no_scene(listener: Listener, make: object) -> None:
    with pytest.raises(SceneError):
        open_scene(make(listener.port))  # type: ignore[operator]
    assert not listener.visitors


@pytest.mark.parametrize("make", [wms, wcs])
def test_a_vrt_does_not_lead_to_a_service(tmp_path: Path, listener: Listener, make: object) -> None:
    (tmp_path / "a.tif").write_text(make(listener.port))  # type: ignore[operator]
    inline = make(listener.port).replace("<", "&lt;")  # type: ignore[operator]
    for source, words in (
        (tmp_path / "a.tif", "is a VRT that names .*a.tif, which is no raster"),
        (inline, "XML in the place of a source"),
        (f"WCS:http://127.0.0.1:{listener.port}/?a=b", "GDAL can open|a service"),
    ):
        (tmp_path / "scene.vrt").write_text(vrt(source))
        with pytest.raises(SceneError, match=words):
            open_scene(tmp_path / "scene.vrt")
    assert not listener.visitors


def test_a_vrt_within_a_vrt_is_looked_through(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "a.tif").write_text(wcs(listener.port))
    (tmp_path / "inner.tif").write_text(vrt("a.tif", relative=1))
    (tmp_path / "scene.vrt").write_text(vrt("inner.tif", relative=1))
    with pytest.raises(SceneError, match="which is no raster"):
        open_scene(tmp_path / "scene.vrt")
    assert not listener.visitors


def test_a_vrt_of_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "scene.vrt").write_text(vrt("scene.vrt", relative=1))
    with pytest.raises(SceneError, match="nested too deep"):
        open_scene(tmp_path / "scene.vrt")
    assert MAX_DEPTH < 20


@pytest.mark.parametrize("address", ["https://a.org/b.vrt", "/vsicurl/https://a.org/b.VRT?c=d"])
def test_a_vrt_does_not_lead_to_one_elsewhere(tmp_path: Path, address: str) -> None:
    (tmp_path / "scene.vrt").write_text(vrt(address))
    with pytest.raises(SceneError, match="which may name anything"):
        open_scene(tmp_path / "scene.vrt")


@pytest.mark.parametrize(
    "address", ["https://a.org/b.vrt", "/vsicurl/http://a/b", "vrt:///vsicurl/http://a/b"]
)
def test_a_vrt_elsewhere_is_never_opened(address: str) -> None:
    assert "VRT" not in drivers_for(address)
    assert "GTiff" in drivers_for(address)
    assert not set(drivers_for(address)) & REACHING


def test_python_in_a_vrt_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    witness = tmp_path / "witness"
    write_scene(tmp_path / "a.tif", random_dn(4, 4))
    code = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        "</PixelFunctionLanguage><PixelFunctionCode><![CDATA[\n"
        f"def f(*args):\n    open({str(witness)!r}, 'w')\n]]></PixelFunctionCode>"
    )
    (tmp_path / "scene.vrt").write_text(vrt(tmp_path / "a.tif", code))
    with pytest.raises(SceneError, match="code in it, which is never run"):
        open_scene(tmp_path / "scene.vrt")
    assert not witness.exists()


def test_entities_of_a_vrt_are_not_expanded(tmp_path: Path) -> None:
    text = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + vrt("&e;")
    (tmp_path / "scene.vrt").write_text(text)
    with pytest.raises(SceneError, match="declares entities"):
        open_scene(tmp_path / "scene.vrt")


def test_vrts_of_files_are_scenes_as_ever(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", np.full((3, 4, 4), 5000, np.uint16))
    (tmp_path / "inner.vrt").write_text(vrt("a.tif", relative=1).replace(
        ' subClass="VRTDerivedRasterBand"', ""
    ))  # fmt: skip
    (tmp_path / "scene.vrt").write_text(vrt("inner.vrt", relative=1).replace(
        ' subClass="VRTDerivedRasterBand"', ""
    ))  # fmt: skip
    with open_raster(tmp_path / "scene.vrt") as dataset:
        assert (dataset.read(1) == 5000).all()
        assert dataset.driver == "VRT"


def test_a_vrt_is_looked_through_once_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of five levels names the next one in six ways: 6^5 files to a reader who forgets."""
    write_scene(tmp_path / "level5.vrt", random_dn(4, 4))
    (tmp_path / "d").mkdir()
    names = [f"{'d/../' * ways}level{{}}.vrt" for ways in range(6)]
    for level in range(5):
        sources = (vrt(name.format(level + 1), relative=1) for name in names)
        parts = "".join(text.split(">", 1)[1].removesuffix("</VRTDataset>") for text in sources)
        text = f'<VRTDataset rasterXSize="4" rasterYSize="4">{parts}</VRTDataset>'
        text = text.replace('subClass="VRTDerivedRasterBand"', "")
        (tmp_path / f"level{level}.vrt").write_text(text)
    looks: list[str] = []
    read = drivers._read_vrt
    monkeypatch.setattr(drivers, "_read_vrt", lambda path: looks.append(path) or read(path))
    with quiet():
        drivers.check_vrt(str(tmp_path / "level0.vrt"))
    assert len(looks) == 6
