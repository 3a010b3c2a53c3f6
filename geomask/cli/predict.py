"""`geomask predict`: a scene to a mask, and to polygons where asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from geomask.cli import options
from geomask.cli.grouped import GroupedCommand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geomask.checkpoint import Model
    from geomask.engine import Engine
    from geomask.predict import Prediction
    from geomask.vectors.options import PolygonOptions
    from geomask.vectors.writing import VectorSummary


def _moment(ctx: click.Context, param: click.Parameter, text: str | None) -> datetime | None:
    """ISO 8601 as a time; UTC where it does not say otherwise."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no date and time, as 2024-05-06T10:11:12Z"
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


GROUPS = {
    "What to write": (
        *("out", "shp", "confidence", "probabilities", "quicklook", "stac", "when"),
        *("compress", "style", "overwrite"),
    ),
    "The scene": ("bands", "sensor", "scale", "offset", "nodata", "grid"),
    "The network": (
        *("model", "device", "precision", "resolution", "patch", "margin", "batch", "readers"),
    ),
    "Polygons": (
        *("classes", "connectivity", "min_area", "fill_holes", "buffer", "simplify", "smooth"),
        *("crs", "per_class"),
    ),
}
"""Headings of `--help`, and what is under them."""


@click.command(
    "predict", cls=GroupedCommand, groups=GROUPS, short_help="A scene to a mask, and to polygons."
)
@click.argument("scene")
@options.path_option("--out", required=True, help="The mask to write, a GeoTIFF.")
@options.path_option(
    "--shp", help="Also write polygons here (.shp, .gpkg, .fgb, .geojson, .parquet)."
)
@options.path_option("--confidence", help="Also write the chosen class's percent here.")
@options.path_option("--probabilities", help="Also write every class's percent here.")
@options.path_option("--quicklook", help="Also draw the mask over the scene here, a PNG.")
@options.path_option("--stac", help="Also write a STAC item of the mask here, a JSON file.")
@click.option(
    "--datetime",
    "when",
    callback=_moment,
    metavar="ISO",
    help="Of acquisition, for --stac, where the product does not say: 2024-05-06T10:11:12Z.",
)
@options.model_option
@options.scene_options
@options.devices_option
@options.network_options
@options.compress_option
@options.polygon_options
@options.overwrite_option
@click.option("--dry-run", is_flag=True, help="Say what would be read, applied and spent; stop.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "lines"]),
    default="auto",
    help="lines: percents as lines on standard error, for programs. [default: a bar on terminals]",
)
@options.json_option
@options.quiet_option
@options.debug_option
def command(**given: Any) -> None:
    """Classify SCENE into clear, cloud, shadow and snow.

    SCENE is what was delivered: a Sentinel-2 SAFE, LISS-4 or Landsat folder or zip, a folder of
    band files, a STAC item; or any raster GDAL opens, by path, https:// or s3://, its bands found
    by their descriptions (blue, B02, nir …) or named with --bands. The mask lies on the scene's
    own grid; 255 is nodata. Options of polygons marked * hold all polygons in memory.

    \b
    geomask predict S2A_MSIL1C_20230101T….SAFE --out mask.tif --shp clouds.shp
    geomask predict stack.tif --bands green=1,red=2,nir=3 --scale 0.0001 --out mask.tif
    """
    from geomask.cli.console import print_json

    job = _Job(given)
    if given["dry_run"]:
        job.describe()
        return
    prediction, polygons = job.run()
    if given["as_json"]:
        summary = prediction.to_json()
        print_json(summary | {"polygons": None if polygons is None else polygons.to_json()})
    elif not given["quiet"]:
        _print_summary(prediction, polygons, job)


class _Job:
    """The command's options sorted by who takes them: the scene, the network, the polygons."""

    def __init__(self, given: dict[str, Any]) -> None:
        from geomask.outputs import Outputs
        from geomask.together import Request

        def take(*names: str) -> dict[str, Any]:
            return {name: given[name] for name in names}

        polygons: PolygonOptions = given["polygons"]
        if given["shp"] is None and not polygons.are_default:
            raise click.UsageError("options of polygons, --classes to --per-class, go with --shp")
        self.quiet = given["quiet"] or given["as_json"]
        self.as_json: bool = given["as_json"]
        self.lines: bool = given["progress"] == "lines"
        self.model: str = given["model"]
        self.device: str = given["device"]
        self.engine = take("precision", "batch")
        self.request = Request(
            given["scene"],
            Outputs(given["out"], given["confidence"], given["probabilities"], polygons.style),
            given["shp"],
            given["quicklook"],
            given["stac"],
            given["when"],
            stated=take("bands", "sensor", "scale", "offset", "nodata", "grid"),
            plan=take("patch", "margin", "resolution"),
            running=take("readers", "compress"),
            drawn=polygons,
            overwrite=given["overwrite"],
        )
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.perf_counter() - self.started

    def targets(self, *polygons: Path | None) -> str:
        """The files that are asked for; their styles and a shapefile's parts come beside them."""
        paths = (*self.request.outputs.paths, *polygons, self.request.quicklook, self.request.item)
        return ", ".join(str(path) for path in paths if path is not None)

    def load(self) -> tuple[Model, tuple[Engine, ...]]:
        """The model on the devices."""
        from geomask.model_files import find_model

        find_model(self.model)  # torch takes seconds to load, only to say that there is none
        from geomask.checkpoint import load_model
        from geomask.device import choose_devices
        from geomask.inference import make_engines

        devices = choose_devices(self.device)
        model = load_model(self.model, devices[0])
        percent = self.request.outputs.need_percent
        return model, make_engines(model, devices=devices, with_percent=percent, **self.engine)

    def run(self) -> tuple[Prediction, VectorSummary | None]:
        """Predict and trace, under a progress bar."""
        from geomask.cli.console import progress_bar
        from geomask.together import predict_and_trace, preparing

        with (
            preparing(self.request, self.load) as inference,
            progress_bar(self.request.scene, quiet=self.quiet, lines=self.lines) as progress,
        ):
            return predict_and_trace(self.request, inference, progress)

    def describe(self) -> None:
        """Print what a run would read, apply and spend, and touch nothing."""
        from geomask.cli.console import megabytes, print_facts, print_json
        from geomask.estimate import estimate
        from geomask.together import preparing

        with preparing(self.request, self.load) as inference:
            about = estimate(inference)
        if self.as_json:
            print_json(about.to_json())
            return
        resolution = about.resolution
        metres = "native pixels" if resolution is None else f"{resolution[0]:.4g} m"
        print_facts(
            [
                ("scene", f"{about.scene} ({about.kind})"),
                ("grid", f"{about.width} x {about.height} pixels, {about.crs or 'no CRS'}"),
                ("bands", _bands(about.bands)),
                ("radiometry", about.radiometry),
                ("nodata", about.nodata),
                ("model", f"{about.model} on {about.device}, {about.precision}"),
                ("patches", f"{about.patches} of at most {about.patch} pixels, at {metres}"),
                ("would write", self.targets(self.request.polygons)),
                ("time", f"about {about.seconds:.0f} s, from one patch, start-up not counted"),
                ("memory", f"about {megabytes(about.memory)} at the peak"),
            ]
        )


def _bands(sources: Mapping[str, str]) -> str:
    """Common names, and what a band is called in the scene where that is something else."""
    return ", ".join(
        name if name == source else f"{name} ({source})" for name, source in sources.items()
    )


def _print_summary(prediction: Prediction, polygons: VectorSummary | None, job: _Job) -> None:
    from geomask.cli.console import megabytes, print_facts

    total = sum(prediction.pixels.values())
    facts = [("scene", f"{prediction.scene} ({prediction.kind})")]
    facts += [(name, f"{share:.2f} %") for name, share in prediction.percent.items()]
    facts.append(("nodata", f"{100 * prediction.pixels['nodata'] / total:.2f} % of the scene"))
    if polygons is not None:
        counts = ", ".join(f"{count} {name}" for name, count in polygons.counts.items())
        facts.append(("polygons", counts))
    facts += [
        ("bands", _bands(dict(zip(prediction.bands, prediction.sources, strict=True)))),
        ("radiometry", prediction.radiometry),
        ("nodata rule", prediction.nodata),
        ("model", f"{prediction.model} on {prediction.device}, {prediction.precision}"),
        ("written", job.targets(*([] if polygons is None else polygons.paths))),
        ("time", f"{job.seconds:.1f} s ({prediction.seconds:.1f} s for the mask)"),
        ("peak memory", megabytes(prediction.peak_memory)),
    ]
    print_facts(facts)
