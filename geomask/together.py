"""One scene to its mask, polygons and picture, which come into place together or not at all.

What the network needs is imported when scene and outputs have been found right: torch takes
seconds to load, which is long to wait for the news of a mistyped name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomask.output import check_distinct, commit_all
from geomask.outputs import Outputs, check_outputs
from geomask.quicklook import check_quicklook, drawing
from geomask.scene import open_scene
from geomask.vectors.options import PolygonOptions
from geomask.vectors.vectorize import check_vectors, tracing
from geomask.vectors.writing import VectorSummary

if TYPE_CHECKING:
    from geomask.checkpoint import Model
    from geomask.engine import Engine
    from geomask.inference import Inference
    from geomask.predict import Prediction, Progress

Load = Callable[[], "tuple[Model, tuple[Engine, ...]]"]
"""Gives the model and its engines: loads them, or has them."""


@dataclass(frozen=True)
class Request:
    """What is asked of one scene.

    scene: a path for `open_scene`. outputs: the rasters. polygons, quicklook, item: files of
    polygons, of a picture and of a STAC item, None for none. when: of acquisition, for the item,
    where the product does not say.
    Options by who takes them: stated, `open_scene`; plan, `prepare`; running, `predicting`;
    drawn, what polygons are like. overwrite: replace outputs.
    """

    scene: str
    outputs: Outputs
    polygons: Path | None = None
    quicklook: Path | None = None
    item: Path | None = None
    when: datetime | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    running: Mapping[str, Any] = field(default_factory=dict)
    drawn: PolygonOptions = field(default_factory=PolygonOptions)
    overwrite: bool = False


@contextmanager
def preparing(request: Request, load: Load) -> Iterator[Inference]:
    """Scene, model and patches, once no output and no option stands in the way.

    load is called when the outputs have been checked. Raises GeomaskError.
    """
    with open_scene(request.scene, **request.stated) as scene:
        check_outputs(request.outputs, scene, overwrite=request.overwrite)
        if request.quicklook is not None:
            check_quicklook(request.quicklook, overwrite=request.overwrite, inputs=scene.files)
        if request.item is not None:
            from geomask.catalogue import check_item_output, time_of

            when = request.when or time_of(scene.acquisition.known())
            check_item_output(request.item, scene.grid, when, overwrite=request.overwrite)
        model, engines = load()
        if request.polygons is not None:
            plan = check_vectors(
                request.polygons,
                scene.grid,
                model.card.class_table,
                request.drawn,
                overwrite=request.overwrite,
                inputs=scene.files,
            )
            check_distinct([*request.outputs.paths, *plan.files])
        from geomask.inference import prepare

        yield prepare(scene, model, engines=engines, **request.plan)


def predict_and_trace(
    request: Request,
    inference: Inference,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Prediction, VectorSummary | None]:
    """Predict, trace and draw the finished mask; then all outputs come into place together.

    inference: what `preparing` gave for this request. Raises GeomaskError; then no output was
    touched.
    """
    from geomask.predict import predicting

    with ExitStack() as stack:
        finished = stack.enter_context(
            predicting(inference, request.outputs, progress=progress, **request.running)
        )
        staged, summary = [*finished.staged], None
        if request.polygons is not None:
            traced = stack.enter_context(
                tracing(
                    finished.mask,
                    request.polygons,
                    request.drawn,
                    confidence=finished.confidence,
                    overwrite=request.overwrite,
                )
            )
            staged += traced.staged
            summary = traced.summary
        if request.quicklook is not None:
            picture = drawing(inference.scene, finished.mask, request.quicklook)
            staged.append(stack.enter_context(picture))
        if request.item is not None:
            from geomask.catalogue import cataloguing

            item = cataloguing(
                finished.mask,
                request.item,
                polygons=() if summary is None else summary.paths,
                scene=request.scene,
                when=request.when,
                pixels=finished.prediction.pixels,
            )
            staged.append(stack.enter_context(item))
        commit_all(staged)
        return finished.prediction, summary
