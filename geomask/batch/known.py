"""Where a scene lies, as its record keeps it: enough to put it on a map with no raster opened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self

from affine import Affine
from pydantic import Field
from rasterio.crs import CRS

from geomask.footprint import footprint
from geomask.grid import Grid
from geomask.raster import quiet

Degrees = Annotated[float, Field(ge=-180, le=180)]
Ring = tuple[tuple[Degrees, Degrees], ...]


@dataclass(frozen=True)
class Outline:
    """A scene's footprint as GeoJSON has it: longitudes and latitudes, WGS 84."""

    type: Literal["Polygon", "MultiPolygon"]
    coordinates: tuple[Ring, ...] | tuple[tuple[Ring, ...], ...]

    @classmethod
    def of(cls, grid: Grid) -> Self | None:
        """That of a grid, None where it has none."""
        found = footprint(grid)
        return None if found is None else cls(**found)

    def to_geojson(self) -> dict[str, Any]:
        """As a mapping."""
        return asdict(self)


@dataclass(frozen=True)
class KnownGrid:
    """A scene's grid. crs: WKT. epsg: where it has such a number. transform: six numbers, as of
    rasterio's Affine. Sizes in pixels."""

    crs: str | None
    epsg: int | None
    transform: tuple[float, float, float, float, float, float]
    width: int
    height: int

    @classmethod
    def of(cls, grid: Grid) -> Self:
        """What a record keeps of a grid."""
        return cls(
            crs=None if grid.crs is None else grid.crs.to_wkt(),
            epsg=None if grid.crs is None else grid.crs.to_epsg(),
            transform=tuple(grid.transform)[:6],
            width=grid.width,
            height=grid.height,
        )

    def to_grid(self) -> Grid:
        """The grid. Raises CRSError for WKT that says nothing."""
        with quiet():
            crs = None if self.crs is None else CRS.from_wkt(self.crs)
        return Grid(crs, Affine(*self.transform), self.width, self.height)
