"""Training end to end, with a network small enough for a test."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from geomask.card import read_card
from geomask.checkpoint import load_model
from geomask.errors import OutputError, RecipeError
from geomask.training import module as module_file
from geomask.training.module import SegmentationModule
from geomask.training.recipe import Recipe, load_recipe
from geomask.training.train import train


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny(*overrides: str) -> Recipe:
    return load_recipe(
        "default",
        [
            'network={architecture="plain-unet", options={width=4}}',
            "data.patch=32",
            "data.batch_size=2",
            "data.steps_per_epoch=3",
            "data.workers=0",
            "data.validation_groups=[]",
            "trainer.max_epochs=2",
            "trainer.precision=fp32",
            "optimizer.ema=0.5",
            *overrides,
        ],
    )


def run(recipe: Recipe, folder, out, **options):
    return train(recipe, [folder], out, progress=False, **options)


def test_a_model_file_comes_out(chip_folder, tmp_path) -> None:
    clear = chip_folder("clear", 2, labelled=False, cloud_free="yes")
    out = tmp_path / "tiny.safetensors"
    result = run(tiny(), chip_folder(), out, clear=[clear])
    assert result.model == out
    assert result.run_dir == tmp_path / "tiny.run"
    assert result.epochs == 2
    card = read_card(out)
    assert card == result.card
    assert card.stride == 16
    assert card.provenance["recipe"]["data"]["patch"] == 32
    assert card.provenance["chips"]["training"] == 3
    assert len(card.provenance["data_sha256"]) == 64
    assert card.provenance["versions"]["torch"] in torch.__version__
    assert set(card.metrics) == {
        "all",
        "blue,green,red,nir,swir16",
        "blue,green,red,nir",
        "green,red,nir",
        "blue,green,red",
    }
    assert set(card.metrics["all"]["iou"]) == {"clear", "cloud", "shadow"}
    network = load_model(out).network
    assert network(torch.full((1, 6, 32, 32), 0.1)).shape == (1, 4, 32, 32)
    logged = (tmp_path / "tiny.run/logs/version_0/metrics.csv").read_text()
    assert "val_iou_shadow" in logged.splitlines()[0]
    assert (result.run_dir / "best.ckpt").exists()
    assert (result.run_dir / "last.ckpt").exists()


def test_resume_equals_an_unbroken_run(chip_folder, tmp_path, monkeypatch) -> None:
    folder = chip_folder()
    whole = run(tiny(), folder, tmp_path / "whole.safetensors")
    step = SegmentationModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == 4:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    out, before = tmp_path / "broken.safetensors", signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(SegmentationModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tiny(), folder, out)
    assert not out.exists()
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(SegmentationModule, "training_step", step)
    with pytest.raises(RecipeError, match=r"broken\.run: holds a run already; give --resume"):
        run(tiny(), folder, out)
    with pytest.raises(RecipeError, match="trained with another recipe"):
        run(tiny("optimizer.lr=0.5"), folder, out, resume=True)
    resumed = run(tiny(), folder, out, resume=True)
    assert resumed.epochs == 2
    assert resumed.card.metrics == whole.card.metrics
    states = [torch.load(r.run_dir / "last.ckpt", weights_only=True) for r in (whole, resumed)]
    for key in ("state_dict", "current_model_state"):
        torch.testing.assert_close(states[0][key], states[1][key])


def test_a_loss_that_is_no_number_stops(chip_folder, tmp_path, monkeypatch) -> None:
    folder, out = chip_folder(), tmp_path / "tiny.safetensors"
    calls = []
    loss = module_file.segmentation_loss

    def sometimes(*arguments, **options):
        calls.append(1)
        return loss(*arguments, **options) * (torch.nan if len(calls) == 6 else 1.0)

    monkeypatch.setattr(module_file, "segmentation_loss", sometimes)
    with pytest.raises(RecipeError) as caught:
        run(tiny(), folder, out)
    message = str(caught.value)
    assert "epoch 1, step 4, chips chips" in message
    assert f"the best model so far is {tmp_path / 'tiny.run' / 'best.ckpt'}" in message
    assert not out.exists()


def test_what_cannot_be_trained_is_refused_before_any_work(chip_folder, tmp_path) -> None:
    folder, out = chip_folder(), tmp_path / "tiny.safetensors"
    with pytest.raises(RecipeError, match="no chip has cloud_free = yes"):
        run(tiny(), folder, out, clear=[folder])
    lone = 'bands=["coastal"]', "normalisation={mean=[0.2], std=[0.1]}", "band_sets=[]"
    with pytest.raises(RecipeError, match=r"none of the recipe's bands \(coastal\), only blue"):
        run(tiny(*lone), folder, out)
    assert not list(tmp_path.glob("*.run"))
    out.write_bytes(b"x")
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        run(tiny(), folder, out)


def test_overwrite_begins_anew(chip_folder, tmp_path) -> None:
    folder, out = chip_folder(count=2), tmp_path / "tiny.safetensors"
    recipe = tiny("trainer.max_epochs=1", "trainer.patience=1", "optimizer.ema=0")
    first = run(recipe, folder, out)
    again = run(recipe, folder, out, overwrite=True)
    assert again.epochs == 1
    assert again.card == first.card, "the same recipe, chips and seed"
    note = json.loads((again.run_dir / "recipe.json").read_text())
    assert Recipe.model_validate(note) == recipe
