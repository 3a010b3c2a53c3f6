"""Tiny sets of CloudSEN12's structure, written by the packages that write such sets: pytortilla
and tacotoolbox."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine

with warnings.catch_warnings():  # of pydantic's, about pytortilla's own models
    warnings.simplefilter("ignore")
    tacotoolbox = pytest.importorskip("tacotoolbox", reason="no tacotoolbox (geomask[taco])")
    pytest.importorskip("pytortilla", reason="no pytortilla (geomask[dev])")
    from pytortilla.create.main import create_a_tortilla
    from pytortilla.datamodel import Sample as upstream_sample  # noqa: N813
    from tacotoolbox.datamodel import Sample, Taco, Tortilla
    from tacotoolbox.sample.extensions.split import Split
    from tacotoolbox.sample.extensions.stac import STAC

SIZE, REAL = 16, 13
"""Pixels with padding, and without: CloudSEN12's 512 and 509."""

BANDS = {"l1c": 13, "l2a": 14}
NOON = datetime(2019, 3, 16, 17, tzinfo=UTC).timestamp()
MEXICO_CITY = (-99.1, 19.4)


@dataclass(frozen=True)
class Spec:
    """One sample: band b of pixel (row, column) has DN 100 * (b + 1) + row; the padding is 0."""

    id: str
    roi: str = "ROI_0001"
    split: str | None = "train"
    label_type: str = "high"
    size: int = REAL
    country: str = "Mexico"
    at: tuple[float, float] = MEXICO_CITY
    labels: Sequence[int] = (0, 1, 2, 3)
    """Codes on disk, row by row in turn."""

    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, Any]:
        shares = {code: 100 * self.labels.count(code) / len(self.labels) for code in range(4)}
        columns = {
            "roi_id": self.roi,
            "s2_id": f"S2A_MSIL1C_{self.id}",
            "label_type": self.label_type,
            "real_proj_shape": self.size,
            "clear_percentage": shares[0],
            "thick_percentage": shares[1],
            "thin_percentage": shares[2],
            "cloud_shadow_percentage": shares[3],
        }
        return {k: v for k, v in (columns | self.changes).items() if v is not None}


def image_of(spec: Spec, level: str = "l1c") -> np.ndarray:
    bands, rows, _ = np.indices((BANDS[level], SIZE, SIZE), np.uint16)
    image = 100 * (bands + 1) + rows
    image[:, spec.size :], image[:, :, spec.size :] = 0, 0
    return image.astype(np.uint16)


def codes_of(spec: Spec) -> np.ndarray:
    """The padding is code 0, which would mean clear."""
    codes = np.zeros((SIZE, SIZE), np.uint8)
    for row in range(spec.size):
        codes[row, : spec.size] = spec.labels[row % len(spec.labels)]
    return codes


def write_tif(path: Path, values: np.ndarray, **profile: Any) -> Path:
    profile = {
        "crs": "EPSG:32614", "transform": Affine(10, 0, 480_000, 0, -10, 2_150_000),
        "compress": "deflate", **profile,
    }  # fmt: skip
    names = profile.pop("names", None)
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype,
        **profile,
    ) as target:  # fmt: skip
        target.write(values)
        if names:
            target.descriptions = names
    return path


def write_files(folder: Path, spec: Spec, level: str = "l1c", **image_profile: Any) -> list[Path]:
    """[image, target], named as in the set."""
    folder = folder / f"files-{level}-{spec.id}"
    folder.mkdir(parents=True)
    return [
        write_tif(folder / f"s2{level}", image_of(spec, level), **image_profile),
        write_tif(folder / "target", codes_of(spec)[None]),
    ]


def write_tortilla(path: Path, rows: Sequence[Any]) -> Path:
    """rows: pytortilla's samples."""
    with warnings.catch_warnings():  # of pandas 3's, about pytortilla's use of it
        warnings.simplefilter("ignore")
        table = pd.DataFrame([row.export_metadata() for row in rows])
        create_a_tortilla(table, path, 1, 1, 10**8, str, quiet=True)
    return path


def _stac(spec: Spec) -> dict[str, Any]:
    return {
        "crs": "EPSG:32614",
        "raster_shape": (SIZE, SIZE),
        "geotransform": (480_000, 10, 0, 2_150_000, 0, -10),
        "time_start": NOON,
        "centroid": f"POINT ({spec.at[0]} {spec.at[1]})",
    }


def first_generation(
    path: Path, specs: Sequence[Spec], level: str = "l1c", **image_profile: Any
) -> Path:
    """A `.tortilla` of tortillas, as pytortilla writes it."""
    outer = []
    for spec in specs:
        files = write_files(path.parent / path.stem, spec, level, **image_profile)
        parts = [upstream_sample(id=p.name, path=p, file_format="GTiff") for p in files]
        inner = write_tortilla(files[0].with_name("sample.tortilla"), parts)
        outer.append(
            upstream_sample(
                id=spec.id,
                path=inner,
                file_format="TORTILLA",
                data_split=spec.split,
                stac_data=_stac(spec),
                **spec.columns,
                **{"rai:admin0": spec.country},
            )
        )
    return write_tortilla(path, outer)


def second_generation(path: Path, specs: Sequence[Spec], level: str = "l1c") -> Path:
    """A `.tacozip`, as tacotoolbox writes it."""
    samples = []
    for spec in specs:
        files = write_files(path.parent / path.stem, spec, level)
        sample = Sample(
            id=spec.id,
            path=Tortilla([Sample(id=file.name, path=file) for file in files]),
            **spec.columns,
            **{"geoenrich:admin_countries": spec.country},
        )
        stac = _stac(spec)
        sample.extend_with(
            STAC(
                crs=stac["crs"],
                tensor_shape=(BANDS[level], SIZE, SIZE),
                geotransform=stac["geotransform"],
                time_start=int(NOON * 1e6),
            )
        )
        sample.extend_with(Split(split=spec.split))
        samples.append(sample)
    taco = Taco(
        tortilla=Tortilla(samples), id="tiny", dataset_version="1", description="tiny",
        licenses=["CC0-1.0"], providers=[{"name": "tests"}], tasks=["semantic-segmentation"],
    )  # fmt: skip
    tacotoolbox.create(taco, path, split_size=None)
    return path
