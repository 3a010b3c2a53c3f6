"""Which errors may be gone a moment later."""

from __future__ import annotations

import errno
import http.server
import threading
from collections.abc import Iterator
from email.message import Message
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import rasterio
from rasterio.errors import RasterioIOError

from geomask.batch.faults import is_passing
from geomask.errors import OutputError, SceneError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def answer(code: int) -> HTTPError:
    return HTTPError("https://x.org", code, "", Message(), None)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(errno.EIO, "x"), True),
        (OSError(errno.ENOSPC, "x"), False),
        (FileNotFoundError(errno.ENOENT, "x"), False),
        (ConnectionResetError(errno.ECONNRESET, "x"), True),
        (TimeoutError(), True),
        (answer(503), True),
        (answer(429), True),
        (answer(404), False),
        (answer(403), False),
        (URLError(ConnectionRefusedError(errno.ECONNREFUSED, "x")), True),
        (IncompleteRead(b""), True),
        (RasterioIOError("HTTP response code: 503"), True),
        (RasterioIOError("HTTP response code: 404"), False),
        (RasterioIOError("Request for 1-2 failed with response_code=500"), True),
        (RasterioIOError("CURL error: Could not resolve host: x.org"), True),
        (RasterioIOError("TIFFReadEncodedTile: Read error at row 5"), False),
        (SceneError("timed_out.tif: CURL error: a text of ours decides nothing"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_faults_of_network_and_disk_are_told_from_others(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing
    assert is_passing(caused(SceneError("x"), error)) is passing
    assert is_passing(caused(OutputError("x"), caused(SceneError("y"), error))) is passing


@pytest.fixture
def busy() -> Iterator[str]:
    """A server that answers 503 to everything."""

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *given: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_gdal_says_of_a_busy_server_is_understood(
    busy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from geomask import raster, scene

    quick = {"GDAL_HTTP_MAX_RETRY": 0}
    monkeypatch.setattr(raster, "GDAL_OPTIONS", {**raster.GDAL_OPTIONS, **quick})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(SceneError) as caught, rasterio.Env(**quick):
        scene.open_scene(f"{busy}/scene.tif")
    assert is_passing(caught.value), repr(caught.value.__cause__)
    with pytest.raises(SceneError) as caught:
        scene.open_scene(f"{busy}/items/scene")
    assert is_passing(caught.value)
