"""Training end to end, with a network small enough for a test."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from geomask.card import read_card
from geomask.checkpoint import load_model
from geomask.errors import GeomaskWarning, OptionError, OutputError, RecipeError
from geomask.training import module as module_file
from geomask.training.gather import DRAWS
from geomask.training.module import SegmentationModule
from geomask.training.pictures import read_series
from geomask.training.recipe import Recipe, load_recipe
from geomask.training.run_folder import BEST, LAST, RunCheckpoints
from geomask.training.train import train
from tests.training.conftest import BANDS, NINE_BANDS

pytestmark = pytest.mark.usefixtures("one_thread")


TINY = (
    "data.patch=32",
    "data.batch_size=2",
    "data.steps_per_epoch=3",
    "data.workers=0",
    "data.validation_groups=[]",
    "trainer.max_epochs=2",
    "trainer.precision=fp32",
)
SMALL_RESNET = (
    'network={architecture="Unet", encoder="resnet18", '
    "options={encoder_depth=3, decoder_channels=[8, 8, 8]}}"
)


def tiny(*overrides: str) -> Recipe:
    return load_recipe(
        "default",
        [
            *TINY,
            'network={architecture="plain-unet", options={width=4}}',
            "optimizer.ema=0.5",
            *overrides,
        ],
    )


def run(recipe: Recipe, folder, out, **options):
    return train(recipe, [folder], out, progress=False, **options)


def test_a_run_is_not_gone_on_with_on_other_chips(chip_folder, tmp_path) -> None:
    out = tmp_path / "m.safetensors"
    run(tiny("trainer.max_epochs=1"), chip_folder(), out)
    with pytest.raises(RecipeError, match=r"splits\.csv: the run .* had other chips, .* as "):
        run(tiny("trainer.max_epochs=1"), chip_folder("other"), out, resume=True, overwrite=True)


def test_a_run_can_be_gone_on_with_on_other_devices(chip_folder, tmp_path) -> None:
    folder, out = chip_folder(), tmp_path / "m.safetensors"
    run(tiny("trainer.max_epochs=1"), folder, out)
    other = tiny("trainer.max_epochs=1", "trainer.device=cpu", "trainer.pictures=1")
    assert run(other, folder, out, resume=True, overwrite=True).epochs == 1


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


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_resume_equals_an_unbroken_run(
    chip_folder, tmp_path, monkeypatch, workers: int, schedule: str
) -> None:
    """Losses and weights alike, also where worker processes prepare samples ahead."""
    folder = chip_folder()
    recipe = tiny(f"data.workers={workers}", f"optimizer.schedule={schedule}")
    whole = run(recipe, folder, tmp_path / "whole.safetensors")
    step = SegmentationModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == 4:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    out, before = tmp_path / "broken.safetensors", signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(SegmentationModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, out)
    assert not out.exists()
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(SegmentationModule, "training_step", step)
    with pytest.raises(RecipeError, match=r"broken\.run: holds a run already; give --resume"):
        run(recipe, folder, out)
    with pytest.raises(RecipeError, match="trained with another recipe"):
        run(tiny("optimizer.lr=0.5"), folder, out, resume=True)
    resumed = run(recipe, folder, out, resume=True)
    assert resumed.epochs == 2
    assert read_series(resumed.run_dir) == read_series(whole.run_dir)
    assert resumed.card.metrics == whole.card.metrics
    states = [torch.load(r.run_dir / "last.ckpt", weights_only=True) for r in (whole, resumed)]
    for key in ("state_dict", "current_model_state"):
        torch.testing.assert_close(states[0][key], states[1][key])


def lr_by_epoch(run_dir: Path) -> dict[int, float]:
    """What the logs say of the rate; what was logged later counts."""
    found: dict[int, float] = {}
    for log in sorted(run_dir.glob("logs/version_*/metrics.csv")):
        with log.open() as file:
            rows = [row for row in csv.DictReader(file) if row.get("lr-AdamW")]
        found |= {int(row["epoch"] or row["step"]): float(row["lr-AdamW"]) for row in rows}
    return found


def test_resume_remembers_the_plateau_and_the_patience(chip_folder, tmp_path, monkeypatch) -> None:
    """No epoch is better than the first: lr falls after the second, and after the third the run
    stops; so it does when it is broken in its third and gone on with."""
    folder = chip_folder()
    monkeypatch.setattr(module_file, "class_scores", lambda *_: {"macro_iou": 0.5, "iou": {}})
    recipe = tiny(
        "optimizer.schedule=plateau",
        "optimizer.lr=1e-5",
        "optimizer.plateau_patience=0",
        "optimizer.ema=0",
        "trainer.patience=2",
        "trainer.max_epochs=6",
    )
    whole = run(recipe, folder, tmp_path / "whole.safetensors")
    assert whole.epochs == 3
    assert list(lr_by_epoch(whole.run_dir).values()) == pytest.approx([1e-5, 1e-5, 1e-6])
    step = SegmentationModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == 7:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    out = tmp_path / "broken.safetensors"
    monkeypatch.setattr(SegmentationModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, out)
    monkeypatch.setattr(SegmentationModule, "training_step", step)
    resumed = run(recipe, folder, out, resume=True)
    assert resumed.epochs == 3
    assert lr_by_epoch(resumed.run_dir) == pytest.approx(lr_by_epoch(whole.run_dir))
    states = [torch.load(r.run_dir / "last.ckpt", weights_only=True) for r in (whole, resumed)]
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(states[0][key], states[1][key])
    assert states[0]["plateau"] == states[1]["plateau"]
    out.unlink()
    monkeypatch.setattr(SegmentationModule, "training_step", interrupted)
    again = run(recipe, folder, out, resume=True)
    assert again.epochs == 3, "a run that has stopped early trains no more"
    assert again.card == resumed.card


def ious(monkeypatch, *values: float) -> None:
    """Have epochs score these, one after the other."""
    rest = iter(values)
    monkeypatch.setattr(
        module_file, "class_scores", lambda *_: {"macro_iou": next(rest), "iou": {}}
    )


def test_a_run_that_was_moved_remembers_its_best_epoch(chip_folder, tmp_path, monkeypatch) -> None:
    folder, recipe = chip_folder(), tiny("trainer.max_epochs=3", "trainer.keep=best")
    step = SegmentationModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == 4:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    ious(monkeypatch, 0.9)
    monkeypatch.setattr(SegmentationModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, tmp_path / "before.safetensors")
    shutil.move(tmp_path / "before.run", tmp_path / "after.run")
    ious(monkeypatch, 0.5, 0.6)
    monkeypatch.setattr(SegmentationModule, "training_step", step)
    resumed = run(recipe, folder, tmp_path / "after.safetensors", resume=True)
    assert (resumed.epochs, resumed.kept_epoch) == (3, 0)


@pytest.mark.parametrize(("keep", "kept"), [("best", 1), ("last", 2)])
def test_the_epoch_that_is_kept(chip_folder, tmp_path, monkeypatch, keep: str, kept: int) -> None:
    ious(monkeypatch, 0.1, 0.9, 0.5)
    recipe = tiny("trainer.max_epochs=3", f"trainer.keep={keep}")
    result = run(recipe, chip_folder(), tmp_path / "m.safetensors")
    assert result.kept_epoch == kept
    assert result.card.provenance["epoch"] == kept


@pytest.mark.parametrize(("name", "other"), [(LAST, BEST), (BEST, LAST)])
@pytest.mark.parametrize("left", [0, 1000])
def test_a_checkpoint_that_is_cut_short_is_told(
    chip_folder, tmp_path, name: str, other: str, left: int
) -> None:
    folder, out = chip_folder(), tmp_path / "tiny.safetensors"
    run_dir = run(tiny("trainer.max_epochs=1", "trainer.keep=best"), folder, out).run_dir
    out.unlink()
    (run_dir / name).write_bytes((run_dir / name).read_bytes()[:left])
    with pytest.raises(RecipeError, match=f"{name}: is no checkpoint, or .* copying {other} over"):
        run(tiny("trainer.max_epochs=1", "trainer.keep=best"), folder, out, resume=True)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    path = tmp_path / LAST
    RunCheckpoints().save_checkpoint({"epoch": 1}, path)

    def full(state, target) -> None:
        Path(target).write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"last\.ckpt: cannot be written: No space left"):
        RunCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert RunCheckpoints().load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


RECIPES = {
    "cloud-rgb": (BANDS, ["data.resize=32", "network.encoder=efficientnet-b0"], {"clear", "cloud"}),
    "cloud-shadow-9band": (NINE_BANDS, ["network.options={width=4}"], {"clear", "cloud", "shadow"}),
    "liss4": (BANDS[1:4], [SMALL_RESNET], {"clear", "cloud", "shadow"}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_trains_end_to_end(chip_folder, tmp_path, name: str) -> None:
    bands, overrides, occurring = RECIPES[name]
    folder = chip_folder(bands=bands, gsd_m="10")
    recipe = load_recipe(name, [*TINY, "network.encoder_weights=none", *overrides])
    result = run(recipe, folder, tmp_path / "model.safetensors")
    card = read_card(result.model)
    assert set(card.metrics["all"]["iou"]) == occurring
    assert card.bands == recipe.bands
    assert card.resolution == ((20, 20) if name == "cloud-rgb" else (10, 10))
    assert card.description == f"Trained with recipe {name} on 3 labelled chips."
    network = load_model(result.model).network
    image = torch.full((1, len(recipe.bands), 32, 32), 0.1)
    assert network(image).shape == (1, len(recipe.classes), 32, 32)
    log = (result.run_dir / "logs/version_0/metrics.csv").read_text()
    assert {"train_loss", "val_loss", "val_iou", "val_iou_cloud"} <= set(
        log.splitlines()[0].split(",")
    )
    assert (result.run_dir / "curves.png").exists()
    assert len(list((result.run_dir / "pictures").glob("*.png"))) == 1
    assert "val" in (result.run_dir / "splits.csv").read_text()


def test_clear_chips_alone_are_enough(chip_folder, tmp_path) -> None:
    folder = chip_folder("clear", 3, labelled=False, bands=NINE_BANDS, cloud_free="yes", gsd_m="10")
    recipe = load_recipe("cloud-shadow-9band", [*TINY, "network.options={width=4}"])
    out = tmp_path / "m.safetensors"
    result = train(recipe, [], out, clear=[folder], progress=False)
    counts = result.card.provenance["chips"]
    assert (counts["training"], counts["clear_training"], counts["clear_validation"]) == (0, 2, 1)
    assert result.card.metrics["all"]["chips"] == counts["validation"] == DRAWS
    assert result.card.description.endswith("on simulated clouds over 2 clear ones.")
    assert result.card.resolution == (10, 10)


def test_a_tiny_network_learns_four_chips(chip_folder, tmp_path) -> None:
    """IoU of every class above 0.95 on copies of what it has seen: nothing is lost on the way."""
    folder = chip_folder(bands=NINE_BANDS, split="train", split_group="seen")
    copies = chip_folder("copy", bands=NINE_BANDS, split="val", split_group="copy")
    recipe = load_recipe(
        "cloud-shadow-9band",
        [
            *TINY,
            "network.options={width=8}",
            "data.batch_size=4",
            "data.patch=64",
            "data.steps_per_epoch=70",
            "trainer.max_epochs=1",
            "optimizer.schedule=one-cycle",
            "optimizer.lr=1e-2",
        ],
    )
    result = train(recipe, [folder, copies], tmp_path / "m.safetensors", progress=False)
    scores = result.card.metrics["all"]
    assert set(scores["iou"]) == {"clear", "cloud", "shadow"}
    assert min(scores["iou"].values()) > 0.95, scores


def test_training_starts_from_a_model(chip_folder, tmp_path) -> None:
    """A step of no size leaves it as it was, to what float16 in a file can tell."""
    first = run(tiny("trainer.shift=[]"), chip_folder(), tmp_path / "first.safetensors")
    start = f"network.start_from={first.model}"
    still = tiny(start, "trainer.shift=[]", "optimizer.lr=1e-12", "trainer.seed=7")
    second = run(still, chip_folder("again"), tmp_path / "second.safetensors")
    before, after = (
        dict(load_model(each.model).network.named_parameters()) for each in (first, second)
    )
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in before)
    other = run(tiny("trainer.seed=7"), chip_folder("more"), tmp_path / "other.safetensors")
    apart = dict(load_model(other.model).network.named_parameters())
    assert not all(torch.allclose(before[name], apart[name], atol=1e-4) for name in before)
    assert second.card.provenance["recipe"]["network"]["start_from"] == str(first.model)


def test_some_of_the_start_stays(chip_folder, tmp_path) -> None:
    """A quarter of the way back to the start, from where the same training ends without it."""
    first = run(tiny("trainer.shift=[]"), chip_folder(), tmp_path / "first.safetensors")
    options = (f"network.start_from={first.model}", "trainer.shift=[]", "optimizer.lr=5e-2")
    folder = chip_folder("again")
    far = run(tiny(*options), folder, tmp_path / "far.safetensors")
    mixed = run(tiny(*options, "network.start_share=0.25"), folder, tmp_path / "mix.safetensors")
    start, end, mean = (
        dict(load_model(each.model).network.named_parameters()) for each in (first, far, mixed)
    )
    assert any((start[name] - end[name]).abs().max() > 0.02 for name in start)
    for name, value in mean.items():
        assert torch.allclose(value, 0.25 * start[name] + 0.75 * end[name], atol=5e-4)


def test_the_mean_of_several_models(chip_folder, tmp_path) -> None:
    """A third of each, the trained one being itself half of where it started."""
    folder, files = chip_folder(), [tmp_path / f"{name}.safetensors" for name in "abc"]
    for seed, file in enumerate(files[:2]):
        run(tiny("trainer.shift=[]", f"trainer.seed={seed}"), folder, file)
    options = (f"network.start_from={files[0]}", "trainer.shift=[]", "optimizer.lr=5e-2")
    end = run(tiny(*options), folder, tmp_path / "end.safetensors").model
    others = f"network.average_with=['{files[0]}', '{files[1]}']"
    run(tiny(*options, "network.start_share=0.5", others), folder, files[2])
    first, second, mean, alone = (
        dict(load_model(file).network.named_parameters()) for file in (*files, end)
    )
    for name, value in mean.items():
        expected = (1.5 * first[name] + second[name] + 0.5 * alone[name]) / 3
        assert torch.allclose(value, expected, atol=1e-3), name


def test_another_model_is_made_of_a_run_that_has_ended(chip_folder, tmp_path) -> None:
    """Averaged, licensed and described otherwise, without a step of training."""
    folder, other, out = chip_folder(), tmp_path / "other.safetensors", tmp_path / "m.safetensors"
    run(tiny("trainer.shift=[]", "trainer.seed=7"), folder, other)
    first = run(tiny(), folder, out)
    alone = dict(load_model(out).network.named_parameters())
    options = ("trainer.shift=[]", f"network.average_with=['{other}']", "card.licence=MIT")
    again = run(tiny(*options), folder, out, resume=True, overwrite=True)
    assert again.epochs == first.epochs
    assert again.card.licence == "MIT"
    mean, its = (dict(load_model(file).network.named_parameters()) for file in (out, other))
    (name,) = (name for name in mean if name.endswith("head.weight"))
    assert torch.allclose(mean[name], (alone[name] + its[name]) / 2, atol=1e-3)
    noted = json.loads((again.run_dir / "recipe.json").read_text())
    assert noted["card"]["licence"] == "MIT"
    assert again.card.provenance["built_on"] == {str(other): load_model(other).sha256}
    assert "built_on" not in first.card.provenance


def test_what_a_start_was_trained_on_is_trained_on(chip_folder, tmp_path) -> None:
    """Groups that the new run holds out have been seen all the same."""
    folder = chip_folder()
    first = run(tiny("data.validation_groups=['place0']"), folder, tmp_path / "first.safetensors")
    assert first.card.training_groups == {"place1", "place2", "place3"}
    start = f"network.start_from={first.model}"
    swapped = tiny(start, "data.validation_groups=['place1']")
    with pytest.warns(GeomaskWarning, match="trained on 1 of the groups that are held out here"):
        second = run(swapped, folder, tmp_path / "second.safetensors")
    assert second.card.training_groups == {"place0", "place1", "place2", "place3"}


@pytest.mark.parametrize("key", ["start_from", "average_with"])
def test_a_model_of_another_kind_is_no_start(chip_folder, tmp_path, key) -> None:
    value = "default" if key == "start_from" else "['default']"
    recipe = tiny(f"network.{key}={value}")
    with pytest.raises(RecipeError, match=f"{key} default: another network than"):
        run(recipe, chip_folder(), tmp_path / "m.safetensors")


def test_what_the_device_lacks_is_refused(chip_folder, tmp_path) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(RecipeError, match=r"precision fp16 needs a CUDA GPU, and .* cpu"):
        run(tiny("trainer.precision=fp16", "trainer.device=cpu"), chip_folder(), out)
    with pytest.raises(OptionError, match="device 'gpu' is none of auto, cpu"):
        run(tiny("trainer.device=gpu"), chip_folder("more"), out)
    assert not list(tmp_path.glob("*.run"))


def test_a_validation_loss_that_is_no_number_stops(chip_folder, tmp_path, monkeypatch) -> None:
    """The network that gives it is no model to keep, whatever its IoU."""
    loss, calls = SegmentationModule._loss, []

    def second_of_second_epoch(self, *given):
        calls.append(self.training)
        wrong = not self.training and calls.count(False) == 4
        return loss(self, *given) * (torch.nan if wrong else 1)

    monkeypatch.setattr(SegmentationModule, "_loss", second_of_second_epoch)
    folder, out = chip_folder(), tmp_path / "m.safetensors"
    with pytest.raises(RecipeError) as caught:
        run(tiny('data.validation_groups=["place1", "place3"]'), folder, out)
    message = str(caught.value)
    assert "no longer a number in epoch 1, step 6, validation chips chips3; the best" in message
    assert torch.load(tmp_path / "m.run/best.ckpt", weights_only=True)["epoch"] == 0
    assert not out.exists()


def test_chips_that_measure_nothing_are_told(chip_folder, write_raster, tmp_path) -> None:
    folder = chip_folder()
    for path in folder.glob("chips?.tif"):
        write_raster(path, np.full((6, 64, 64), np.nan, np.float32), BANDS)
    with pytest.raises(RecipeError, match="no pixel of the validation chips is both labelled and"):
        run(tiny(), folder, tmp_path / "m.safetensors")


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


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_error_of_a_worker_is_told_without_its_traceback(chip_folder, tmp_path) -> None:
    clear = chip_folder("clear", 3, labelled=False, bands=("red", "nir"), cloud_free="yes")
    recipe = tiny("data.workers=1")
    with pytest.raises(RecipeError) as caught:
        train(recipe, [], tmp_path / "m.safetensors", clear=[clear], progress=False)
    message = str(caught.value)
    assert message.startswith(str(clear)), message
    assert "clouds cannot be drawn over it, since it lacks bands" in message
    assert "\n" not in message


def test_what_cannot_be_trained_is_refused_before_any_work(chip_folder, tmp_path) -> None:
    folder, out = chip_folder(), tmp_path / "tiny.safetensors"
    with pytest.raises(RecipeError, match="no chip has cloud_free = yes"):
        run(tiny(), folder, out, clear=[folder])
    lone = 'bands=["coastal"]', "normalisation={mean=[0.2], std=[0.1]}", "band_sets=[]"
    with pytest.raises(RecipeError, match=r"none of the recipe's bands \(coastal\), only blue"):
        run(tiny(*lone), folder, out)
    with pytest.raises(RecipeError, match=r"recipe default: card\.margin: .*less than or equal"):
        run(tiny("card.margin=5000"), folder, out)
    with pytest.raises(
        RecipeError, match=r"recipe default: card: resolution \(30.0, 10.0\) is not"
    ):
        run(tiny("card.resolution=[30, 10]"), folder, out)
    assert not list(tmp_path.glob("*.run"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/run: cannot be the run's folder \(Not a dir"):
        run(tiny(), folder, out, run_dir=tmp_path / "file/run")
    out.write_bytes(b"x")
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        run(tiny(), folder, out)


def test_overwrite_begins_anew(chip_folder, tmp_path) -> None:
    folder, out = chip_folder(count=2), tmp_path / "tiny.safetensors"
    recipe = tiny("trainer.max_epochs=1", "trainer.patience=1", "optimizer.ema=0")
    first = run(recipe, folder, out)
    (first.run_dir / "pictures/of_before.png").touch()
    again = run(recipe, folder, out, overwrite=True)
    assert again.epochs == 1
    assert [path.name for path in (again.run_dir / "logs").iterdir()] == ["version_0"]
    assert not (again.run_dir / "pictures/of_before.png").exists()
    assert again.card == first.card, "the same recipe, chips and seed"
    note = json.loads((again.run_dir / "recipe.json").read_text())
    assert Recipe.model_validate(note) == recipe


def test_logs_are_written_as_tables_and_for_tensorboard(chip_folder, tmp_path) -> None:
    result = run(tiny("trainer.max_epochs=1"), chip_folder(), tmp_path / "m.safetensors")
    assert list(result.run_dir.glob("tensorboard/version_0/events.out.tfevents.*"))
    assert (result.run_dir / "logs/version_0/metrics.csv").exists()
