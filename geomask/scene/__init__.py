"""Scenes: `open_scene` recognises a product and returns a `Scene`, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from geomask.scene.geotiff import open_geotiff
from geomask.scene.meaning import Stated
from geomask.scene.scene import Scene, SceneBand

__all__ = ["Scene", "SceneBand", "open_scene"]


def open_scene(
    path: str | Path,
    *,
    bands: Mapping[str, int] | None = None,
    sensor: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | str | None = None,
) -> Scene:
    """Open a scene: any raster that GDAL opens, local or https://, s3:// and the like.

    bands: common name to 1-based band number, where descriptions do not name them. sensor:
    "sentinel2", "liss4" or "landsat", where product band names are ambiguous. scale, offset:
    reflectance = DN * scale + offset. nodata: DN of pixels not measured, or "none".
    Each of these overrides what the file states.

    Raises SceneError, BandError or OptionError, and warns (GeomaskWarning) of what it assumed.
    """
    stated = Stated(bands=bands, sensor=sensor, scale=scale, offset=offset, nodata=nodata)
    return open_geotiff(str(path), stated)
