"""Pictures of a run: what is drawn where, in which colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from geomask.training.chips import read_manifest
from geomask.training.pictures import (
    IGNORED_COLOUR,
    LINE_COLOURS,
    composite,
    draw_curves,
    draw_samples,
    paint,
    read_series,
)
from geomask.training.recipe import load_recipe

FIRST = """epoch,step,lr-AdamW,train_loss,val_iou,val_iou_cloud,val_loss
,0,0.1,,,,
0,1,,0.5,,,
0,3,,0.7,,,
0,3,,,0.2,0.1,0.9
1,5,,0.4,,,
"""

SECOND = """epoch,step,train_loss,val_iou,val_loss
1,5,0.3,,
1,7,0.1,,
1,7,,0.8,nan
"""


@pytest.fixture
def run_dir(tmp_path):
    """The logs of a run that was broken in its second epoch and gone on with."""
    for number, text in enumerate((FIRST, SECOND)):
        folder = tmp_path / f"logs/version_{number}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(text)
    return tmp_path


def test_series_are_by_epoch_and_what_was_logged_later_counts(run_dir) -> None:
    assert read_series(run_dir) == {
        "train_loss": [(0, pytest.approx(0.6)), (1, pytest.approx(0.2))],
        "val_iou": [(0, 0.2), (1, 0.8)],
        "val_iou_cloud": [(0, 0.1)],
        "val_loss": [(0, 0.9)],
    }


def test_curves_have_a_line_of_each_series(run_dir) -> None:
    path = draw_curves(run_dir)
    assert path == run_dir / "curves.png"
    pixels = np.asarray(Image.open(path))
    width = pixels.shape[1] // 2
    for half in (pixels[:, :width], pixels[:, width:]):
        colours = {tuple(colour) for colour in half.reshape(-1, 3).tolist()}
        for text in LINE_COLOURS[:2]:
            assert tuple(bytes.fromhex(text[1:])) in colours


def test_without_logs_there_are_no_curves(tmp_path) -> None:
    assert draw_curves(tmp_path) is None
    assert not (tmp_path / "curves.png").exists()


def test_labels_are_painted_in_their_classes_colours() -> None:
    painted = paint(np.array([[0, 2, 255]]), load_recipe("cloud-shadow-9band"))
    assert painted.tolist() == [[[240, 240, 240], [106, 61, 154], list(IGNORED_COLOUR)]]


@pytest.mark.parametrize(
    ("bands", "order"),
    [
        (("blue", "green", "red", "nir"), (2, 1, 0)),
        (("green", "red", "nir"), (2, 1, 0)),
        (("swir16", "swir22", "nir"), (2, 1, 0)),
        (("swir16", "pan"), (1, 0, 0)),
        (("pan",), (0, 0, 0)),
    ],
)
def test_a_composite_is_in_true_or_false_colour(bands, order) -> None:
    image = np.array([np.full((1, 2), 0.1 * band) for band in range(len(bands))], np.float32)
    image[:, 0, 1] = np.nan
    shown = composite(image, bands)
    top = max(order) or 1
    expected = [255 * band / top if len(bands) > 1 else 0 for band in order]
    np.testing.assert_allclose(shown[0, 0], expected, atol=8)
    assert shown[0, 1].tolist() == [0, 0, 0], "not measured"


def test_samples_show_input_truth_and_prediction(chip_folder, tmp_path) -> None:
    chips = read_manifest(chip_folder())
    recipe = load_recipe("liss4", ["trainer.pictures=2"])

    def all_cloud(image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(1, 4, *image.shape[2:])
        logits[:, 1] = 1
        return logits

    paths = draw_samples(all_cloud, recipe, chips, tmp_path / "pictures")
    assert [path.name for path in paths] == ["00_chips0.png", "01_chips2.png"]
    pixels = np.asarray(Image.open(paths[0]))
    size, gap, top = 64, 6, 18
    parts = [
        pixels[top : top + size, gap + n * (size + gap) : gap + n * (size + gap) + size]
        for n in range(3)
    ]
    assert (parts[2] == recipe.classes[1].color).all(), "all predicted as cloud"
    assert (parts[1][:2] == IGNORED_COLOUR).all(), "the rows that have no label"
    truth = {tuple(colour) for colour in parts[1].reshape(-1, 3).tolist()}
    assert truth == {IGNORED_COLOUR, *(recipe.classes[n].color for n in (0, 1, 2))}
    cloud = (parts[1] == recipe.classes[1].color).all(axis=2)
    assert parts[0][cloud].min() > parts[0][~cloud].max(), "cloud is bright in the input"
