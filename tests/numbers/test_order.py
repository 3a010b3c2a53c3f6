"""Invariant 2: on one device and precision neither threads nor batches, readers or the order of
patches change a pixel; and what another device or the size of patches may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from geomask.checkpoint import Model
from geomask.inference import make_engines, prepare
from geomask.pipeline import run
from geomask.scene import open_scene
from tests.conftest import random_dn, unet_model, write_scene

CPU = torch.device("cpu")
PRECISIONS = ("fp32", "bf16")


@pytest.fixture(scope="module")
def model() -> Model:
    """A small U-Net with random weights, nearly tied everywhere: what sways a sum shows."""
    return unet_model()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, with a wedge of nodata."""
    values = random_dn(230, 310)
    values[:, np.add.outer(np.arange(230), np.arange(310)) > 420] = 0
    return write_scene(tmp_path_factory.mktemp("order") / "s.tif", values)


@pytest.fixture(scope="module")
def expected(scene: Path, model: Model) -> dict[str, npt.NDArray[np.uint8]]:
    """What two readers and batches of one find, by precision."""
    return {precision: predicted(scene, model, precision) for precision in PRECISIONS}


@pytest.fixture
def threads() -> Iterator[None]:
    """torch's number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def predicted(
    scene: Path,
    model: Model,
    precision: str,
    *,
    readers: int = 2,
    batch: int = 1,
    patch: int = 256,
    backwards: bool = False,
    device: torch.device = CPU,
) -> npt.NDArray[np.uint8]:
    """uint8 (1 + classes, height, width): codes and percents of a whole scene."""
    engines = make_engines(model, precision, devices=[device], batch=batch, with_percent=True)
    with open_scene(scene) as opened:
        inference = prepare(opened, model, engines=engines, patch=patch)
        found = np.zeros((1 + len(model.card.classes), *opened.grid.shape), np.uint8)
        for result in backwards_through(inference) if backwards else run(inference, readers):
            rows, columns = result.window.toslices()
            assert result.percent is not None
            found[:, rows, columns] = np.concatenate([result.codes[None], result.percent])
    return found


def backwards_through(inference: Any) -> Any:
    """Results of the last patch first, one at a time."""
    for patch in reversed(list(inference.plan)):
        yield from inference.engines[0].classify([inference.load(patch)])


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options",
    [{"readers": 1}, {"readers": 7}, {"batch": 2}, {"batch": 5}, {"backwards": True}],
    ids=str,
)
def test_readers_batches_and_order_change_no_pixel(
    scene: Path,
    model: Model,
    expected: dict[str, npt.NDArray[np.uint8]],
    precision: str,
    options: dict[str, Any],
) -> None:
    found = predicted(scene, model, precision, **options)
    np.testing.assert_array_equal(found, expected[precision])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_change_no_pixel(scene: Path, model: Model, precision: str) -> None:
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(predicted(scene, model, precision))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_size_of_patches_changes_no_class_where_the_margin_reaches(
    scene: Path, model: Model, precision: str
) -> None:
    """A U-Net of four levels sees 92 pixels far, and its margin here is 64: what lies farther
    weighs next to nothing."""
    small, large = (predicted(scene, model, precision, patch=patch) for patch in (256, 448))
    assert np.mean(small[0] == large[0]) > 0.999
    assert np.abs(small[1:].astype(int) - large[1:]).max() <= 2


def test_the_same_weights_once_more_give_the_same_pixels(
    scene: Path, expected: dict[str, npt.NDArray[np.uint8]]
) -> None:
    np.testing.assert_array_equal(predicted(scene, unet_model(), "bf16"), expected["bf16"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_gpu_finds_the_classes_that_the_cpu_finds(
    scene: Path, model: Model, precision: str
) -> None:
    """Not to the pixel: a GPU adds up in another order (and TF32 is off in float32)."""
    cpu = predicted(scene, model, precision)
    gpu = predicted(scene, model, precision, device=torch.device("cuda"))
    same = np.mean(cpu[0] == gpu[0])
    assert same > (0.999 if precision == "fp32" else 0.97), "random weights decide little"
    assert np.abs(cpu[1:].astype(int) - gpu[1:]).max() <= (1 if precision == "fp32" else 10)
