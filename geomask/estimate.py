"""What a prediction would read, do and cost, before it is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geomask.engine import Engine, Loaded
from geomask.inference import Inference
from geomask.memory import peak_memory
from geomask.scene.plausibility import check_possible, warn_of_doubt
from geomask.scene.sample import survey
from geomask.tiling import Patch

TRIES = 16
"""Patches that are tried for one with a measured pixel."""


@dataclass(frozen=True)
class Estimate:
    """What `geomask predict --dry-run` says.

    seconds: one patch's own time, measured, times the pixels all patches read, shared by the
    devices: reading and network, not start-up. memory: bytes at the peak, from this process after
    that patch and the rows of the scene that stay in memory; None where the system does not tell.
    """

    scene: str
    kind: str
    width: int
    height: int
    crs: str | None
    bands: dict[str, str]
    radiometry: str
    nodata: str
    model: str
    device: str
    precision: str
    patches: int
    patch: int
    resolution: tuple[float, float] | None
    seconds: float
    memory: int | None

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


def estimate(inference: Inference) -> Estimate:
    """Run a patch once to warm up and once for the clock, and reckon from that.

    Raises SceneError where that patch cannot be read. Warns where a look at the whole scene makes
    its radiometry doubtful.
    """
    scene, plan = inference.scene, inference.plan
    histogram = survey(scene, inference.bands).histogram
    check_possible(scene.path, histogram)
    warn_of_doubt(scene.path, histogram)
    patches = list(plan)
    middle = _measured_patch(inference, patches)
    pixels = sum(int(patch.read.width * patch.read.height) for patch in patches)
    engine = inference.engines[0]
    with engine.side_by_side():
        _on_every_lane(engine, middle)
        started = time.perf_counter()
        _on_every_lane(engine, inference.load(middle.patch))
        seconds = (time.perf_counter() - started) / engine.lanes
    own = int(middle.patch.read.width * middle.patch.read.height)
    tallest = max(rows.size / plan.scale[0] for rows in plan.rows)
    strip = int(tallest * scene.grid.width * len(inference.bands) * 4)
    peak = peak_memory()
    return Estimate(
        scene=scene.path,
        kind=scene.kind,
        width=scene.grid.width,
        height=scene.grid.height,
        crs=None if scene.grid.crs is None else scene.grid.crs.to_string(),
        bands={band: scene.bands[band].source for band in inference.bands},
        radiometry=scene.radiometry(inference.bands),
        nodata=scene.provenance.nodata,
        model=inference.model.card.name,
        device=inference.device,
        precision=inference.precision,
        patches=len(patches),
        patch=inference.largest_patch,
        resolution=inference.resolution,
        seconds=seconds * pixels / own / len(inference.engines),
        memory=None if peak is None else peak + strip,
    )


def _on_every_lane(engine: Engine, loaded: Loaded) -> None:
    """Classify a patch as often as the engine does side by side."""
    for launch in [engine.launch([loaded]) for _ in range(engine.lanes)]:
        engine.collect(launch)


def _measured_patch(inference: Inference, patches: Sequence[Patch]) -> Loaded:
    """The patch nearest the middle with a measured pixel, so that the network runs; of a few that
    are tried."""
    middle = len(patches) // 2
    near = sorted(range(len(patches)), key=lambda index: abs(index - middle))
    for index in near[:: max(1, len(near) // TRIES)]:
        loaded = inference.load(patches[index])
        if loaded.image is not None:
            return loaded
    return inference.load(patches[middle])
