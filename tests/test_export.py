"""A model as ONNX says what torch says, to programs without torch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from geomask.card import Card
from geomask.checkpoint import Model
from geomask.cli import cli
from geomask.errors import OptionError, OutputError
from geomask.export import export_onnx, metadata_of
from tests.conftest import unet_model

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def model() -> Model:
    return unet_model(temperature=1.5, margin=16)


@pytest.fixture(scope="module")
def exported(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return export_onnx(model, out, patch=64, scale=1e-4, offset=-0.1)


def test_onnx_runtime_gives_what_torch_gives(model: Model, exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported)
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    bands, classes = len(model.card.bands), len(model.card.classes)
    assert (given.name, given.shape) == ("reflectance", [1, bands, 64, 64])
    assert (made.name, made.shape) == ("probabilities", [1, classes, 64, 64])
    image = torch.rand(1, bands, 64, 64, generator=torch.Generator().manual_seed(0))
    image[:, 1] = torch.nan
    with torch.inference_mode():
        expected = torch.softmax(model.network(image) / 1.5, dim=1).numpy()
    (found,) = session.run(None, {"reflectance": image.numpy()})
    assert np.ptp(expected) > 0.01, "or anything would agree"
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_file_is_one_and_carries_the_card(model: Model, exported: Path) -> None:
    assert list(exported.parent.iterdir()) == [exported]
    said = onnxruntime.InferenceSession(exported).get_modelmeta().custom_metadata_map
    assert Card.model_validate_json(said["geomask_card"]) == model.card
    names = json.loads(said["class_names"])
    assert [names[str(i)] for i in range(len(names))] == [c.name for c in model.card.classes]


def test_deepness_would_give_it_reflectance(model: Model) -> None:
    """Deepness: (DN / 255 - mean) / std."""
    said = metadata_of(model, 64, 1e-4, -0.1)
    mean, std = (np.array(json.loads(said[f"standardization_{its}"])) for its in ("mean", "std"))
    assert mean.shape == std.shape == (len(model.card.bands),)
    for dn in (0, 1000, 11000):
        np.testing.assert_allclose((dn / 255 - mean) / std, dn * 1e-4 - 0.1, atol=1e-9)
    assert json.loads(said["resolution"]) == 100 * model.card.resolution[0]
    assert json.loads(said["tiles_overlap"]) == 50, "a margin of 16 on both sides of 64"
    assert "standardization_mean" not in metadata_of(model, 64, None, 0.0)


@pytest.mark.parametrize("patch", [72, 32])
def test_a_patch_that_leaves_no_core_is_refused(model: Model, tmp_path: Path, patch: int) -> None:
    with pytest.raises(OptionError, match="twice its margin of 16; try"):
        export_onnx(model, tmp_path / "a.onnx", patch=patch)
    assert not list(tmp_path.iterdir())


def test_an_output_that_exists_is_kept(model: Model, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        export_onnx(model, tmp_path / "a.onnx", patch=64)
    assert (tmp_path / "a.onnx").read_text() == "mine"


def test_what_is_missing_is_named(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(OptionError, match=r"onnxscript is missing; install .*geomask\[onnx\]"):
        export_onnx(model, tmp_path / "a.onnx", patch=64)


def test_the_command_writes_a_file(model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    result = CliRunner().invoke(
        cli, ["models", "export", str(model_file), "--onnx", str(out), "--patch", "64"]
    )
    assert result.exit_code == 0, result.output
    assert onnxruntime.InferenceSession(out).get_inputs()[0].shape[-1] == 64
