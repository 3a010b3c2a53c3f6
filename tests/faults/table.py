"""Command lines, the files they read, and what they write: each file is damaged in turn."""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "--model model.safetensors --precision fp32"
SAFE = "product.SAFE"
GRANULE = f"{SAFE}/GRANULE/L1C_T45RTJ_A041234_20230301T044729"
IMAGE = f"{GRANULE}/IMG_DATA/T45RTJ_20230301T044731_B04.jp2"
XML = f"{SAFE}/MTD_MSIL1C.xml"
TILE_XML = f"{GRANULE}/MTD_TL.xml"
SHAPEFILE = tuple(f"clouds.{suffix}" for suffix in ("shp", "dbf", "shx", "prj", "cpg"))


@dataclass(frozen=True)
class Line:
    """A command line. outputs: what is there when it is done. inputs: files to damage. main: of
    those, the ones that are flipped with all seeds, others with a few."""

    words: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    main: tuple[str, ...] = ()


LINES = (
    Line(
        f"predict scene.tif --out o.tif --shp o.shp --confidence oc.tif --quicklook o.png "
        f"--stac o.json --datetime 2024-01-01 {MODEL}",
        ("o.tif", "o.shp", "o.dbf", "oc.tif", "o.png", "o.json"),
        ("scene.tif",),
    ),
    Line(
        f"predict scene.tif --out o.tif {MODEL}",
        ("o.tif",),
        ("scene.tif", "model.safetensors"),
        main=("scene.tif", "model.safetensors"),
    ),
    Line(f"predict plain.tif --out o.tif {MODEL}", ("o.tif",), ("plain.tif",)),
    Line(
        f"predict {SAFE} --out o.tif {MODEL}", ("o.tif",), (XML, TILE_XML, IMAGE), main=(IMAGE, XML)
    ),
    Line(
        f"predict product.zip --out o.tif {MODEL}",
        ("o.tif",),
        ("product.zip",),
        main=("product.zip",),
    ),
    Line(
        f"batch scenes.csv --out-dir out {MODEL}",
        ("out",),
        ("scenes.csv", "scene.tif", "model.safetensors"),
    ),
    Line("info scene.tif", (), ("scene.tif",)),
    Line(f"info {SAFE}", (), (XML, TILE_XML, IMAGE)),
    Line("info product.zip", (), ("product.zip",)),
    Line("vectorize mask.tif o.shp", ("o.shp", "o.dbf"), ("mask.tif",), main=("mask.tif",)),
    Line("vectorize mask.tif o.gpkg --confidence conf.tif", ("o.gpkg",), ("conf.tif",)),
    Line(
        "rasterize clouds.shp --like mask.tif --out o.tif",
        ("o.tif",),
        (*SHAPEFILE, "mask.tif"),
        main=("clouds.shp",),
    ),
    *(
        Line(f"rasterize clouds.{end} --like mask.tif --out o.tif", ("o.tif",), (f"clouds.{end}",))
        for end in ("gpkg", "geojson", "parquet")
    ),
    Line("rasterize clouds.shp --like scene.tif --out o.tif", ("o.tif",), ("scene.tif",)),
    Line(
        "evaluate --model model.safetensors --data chips --report report",
        ("report/metrics.json", "report/per_chip.csv", "report/report.html"),
        ("chips/manifest.csv", "chips/c1.tif", "chips/c1_mask.tif", "model.safetensors"),
    ),
    Line("models show model.safetensors", (), ("model.safetensors",)),
    Line("models show model.safetensors --stac", (), ("model.safetensors",)),
    Line(
        "data chips scene.tif clouds.shp --out new --size 32",
        ("new/manifest.csv",),
        ("scene.tif", *SHAPEFILE),
        main=("clouds.dbf",),
    ),
    Line(
        "data chips scene.tif mask.tif --out new --size 32 --map 0=clear,1=cloud,2=shadow",
        ("new/manifest.csv",),
        ("mask.tif",),
    ),
    Line(
        "data simulate chips --out new --count 2 --size 32",
        ("new/manifest.csv",),
        ("chips/manifest.csv", "chips/c2.tif"),
        main=("chips/manifest.csv",),
    ),
    Line("view scene.tif mask.tif --out o.html", ("o.html",), ("scene.tif", "mask.tif")),
    # Without chips, so that it is refused after the recipe was read.
    Line(
        "train --recipe recipe.toml --data empty --out o.safetensors",
        (),
        ("recipe.toml",),
        main=("recipe.toml",),
    ),
)

PAIRS = [(line, name) for line in LINES for name in line.inputs]
"""Every line with every file of its own."""
