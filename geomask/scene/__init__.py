"""Scenes: `open_scene` recognises a product and returns a `Scene`, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from geomask.scene.delivery import Delivery, find_delivery, is_product_metadata
from geomask.scene.folder import names_one_scene, open_folder
from geomask.scene.geotiff import open_geotiff
from geomask.scene.landsat import open_landsat
from geomask.scene.liss4 import open_liss4
from geomask.scene.safe import open_safe
from geomask.scene.scene import Scene, SceneBand
from geomask.scene.stac import open_stac
from geomask.scene.stated import Stated

__all__ = ["Scene", "SceneBand", "is_product", "is_product_metadata", "open_scene"]

_PRODUCTS: tuple[Callable[[Delivery, Stated], Scene | None], ...] = (
    open_safe,
    open_liss4,
    open_landsat,
)
"""Each opens what it knows and returns None for anything else."""


def open_scene(
    path: str | Path,
    *,
    bands: Mapping[str, int] | None = None,
    sensor: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | str | None = None,
    grid: float | None = None,
) -> Scene:
    """Open a scene, whatever it was delivered as.

    path: a Sentinel-2 SAFE, a LISS-4 or a Landsat product, each as folder or zip; a folder of
    band files; a STAC item, as file or URL; or any raster that GDAL opens, local or https://,
    s3:// and the like. bands: common name to 1-based band number, where a raster's descriptions
    do not name them. sensor: "sentinel2", "liss4" or "landsat", where product band names are
    ambiguous. scale, offset: reflectance = DN * scale + offset. nodata: DN of pixels not
    measured, or "none". grid: pixel size in metres, where a product has several; the finest
    unless given. Each of these overrides what the files state.

    Raises SceneError, BandError or OptionError, and warns (GeomaskWarning) of what it assumed.
    """
    stated = Stated(
        bands=bands, sensor=sensor, scale=scale, offset=offset, nodata=nodata, grid=grid
    )
    text = str(path)
    item = open_stac(text, stated)
    if item is not None:
        return item
    delivery = find_delivery(text)
    if delivery is None:
        return open_geotiff(text, stated)
    for open_product in _PRODUCTS:
        scene = open_product(delivery, stated)
        if scene is not None:
            return scene
    return open_folder(delivery, stated)


def is_product(folder: str | Path) -> bool:
    """Whether a folder is one product, by its files' names; one that holds several is none.

    Raises SceneError where its files cannot be listed, or are too many for a product.
    """
    delivery = find_delivery(str(folder))
    if delivery is None:
        return False
    if Path(folder).suffix.lower() == ".safe":
        return True
    products = delivery.products
    return len(products) == 1 if products else names_one_scene(delivery.names)
