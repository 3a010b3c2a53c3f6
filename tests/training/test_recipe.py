"""Recipes: what they say, what overrides change, and what wrong ones are told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from geomask.card import Normalisation
from geomask.errors import OutputError, RecipeError
from geomask.sensors import LISS4, SENTINEL2
from geomask.training.recipe import (
    copy_recipe,
    list_recipes,
    load_recipe,
    recipe_summary,
    recipe_text,
)

SMALL = """
bands = ["red", "nir"]
classes = [{ code = 0, name = "clear", color = [1, 2, 3] },
           { code = 9, name = "cloud", color = [4, 5, 6] }]
[labels]
clear = "clear"
thick_cloud = "cloud"
[normalisation]
mean = [0.2, 0.3]
std = [0.1, 0.1]
[network]
architecture = "plain-unet"
[card]
name = "small"
resolution = [10, 30]
"""


def test_default_is_listed_and_valid() -> None:
    assert "default" in list_recipes()
    recipe = load_recipe("default")
    assert [entry.name for entry in recipe.classes] == ["clear", "cloud", "shadow", "snow"]
    assert recipe.label_channels() == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3}
    assert recipe.network.spec.encoder == "tu-regnetx_002"


def test_a_file_with_defaults(tmp_path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    recipe = load_recipe(path)
    assert recipe.label_channels() == {0: 0, 1: 1}, "channels, not codes"
    assert recipe.normalisation == Normalisation(mean=(0.2, 0.3), std=(0.1, 0.1))
    assert recipe.trainer.max_epochs == 20


def test_overrides_are_toml_or_text() -> None:
    recipe = load_recipe(
        "default",
        [
            "optimizer.lr=1e-4",
            "trainer.max_epochs = 3",
            "network.encoder_weights=imagenet",
            'network={architecture="plain-unet", options={width=4}}',
            "labels.thin_cloud=clear",
            'data.validation_groups=["a", "b"]',
        ],
    )
    assert recipe.optimizer.lr == 1e-4
    assert recipe.trainer.max_epochs == 3
    assert recipe.network.options == {"width": 4}
    assert recipe.label_channels()[2] == 0
    assert recipe.data.validation_groups == ("a", "b")
    weights = load_recipe("default", ["network.encoder_weights=imagenet"]).network
    assert weights.encoder_weights == "imagenet"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lrr=1", r"recipe default with optimizer.lrr=1: optimizer.lrr: no such key"),
        ("optimiser.lr=1", r"recipe default with optimiser.lr=1: optimiser: no such key"),
        ("optimizer.lr=fast", r"optimizer.lr: .*number"),
        ("optimizer.lr=-1", r"optimizer.lr: .*greater than 0"),
        ("optimizer.lr", r"'optimizer.lr': an override is table.key=value"),
        ("=1", "an override is table.key=value"),
        ("optimizer..lr=1", "an override is table.key=value"),
        ("bands.first=1", "bands is not a table; set bands as a whole"),
        ("labels.haze=cloud", "labels.haze: chips have clear, thick_cloud"),
        ("labels.snow=ice", "labels.snow: no class is called 'ice'"),
        ('bands=["red"]', "normalisation: 6 values of mean for 1 bands"),
        ("trainer.seed=4294967296", "trainer.seed: .*less than 4294967296"),
        ("data.patch=100", "data.patch: .*multiple of 32"),
        ("trainer.precision=fp8", "trainer.precision: .*'auto', 'fp32', 'bf16' or 'fp16'"),
        ("augment.gain=[2, 1]", r"augment: gain \[2.0, 1.0\] is not"),
        ("loss={cross_entropy=0, dice=0}", "loss: cross_entropy, dice and focal are all 0"),
        ("optimizer.schedule=cosine", "optimizer.schedule: .*'one-cycle', 'plateau' or 'constant'"),
        ("trainer.monitor=f1", "trainer.monitor: .*'val_iou' or 'val_loss'"),
        ("trainer.devices=3", "data.batch_size: 8 samples cannot be shared evenly by 3 devices"),
        ("data.resize=big", "data.resize: .*integer"),
        ("augment.colour_jitter=[2, 0, 0, 0]", r"augment: colour_jitter \[2.0, 0.0, 0.0, 0.0\] is"),
        ("augment.colour_jitter=[0, 0, 0, 0.6]", "augment: colour_jitter .* hue from 0 to 0.5"),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("default", [override])


def test_wrong_files_are_named(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe is called 'nope'; there are: .*default"):
        load_recipe("nope")
    with pytest.raises(RecipeError, match=r"gone\.toml: cannot be read: No such file"):
        load_recipe(tmp_path / "gone.toml")
    path = tmp_path / "broken.toml"
    path.write_text("bands = [")
    with pytest.raises(RecipeError, match=r"broken\.toml: is not valid TOML"):
        load_recipe(path)
    path.write_text(SMALL.replace('"small"', "3"))
    with pytest.raises(RecipeError, match=r"broken\.toml: card\.name: .*string"):
        load_recipe(path)


def test_colours_to_jitter_must_be_there() -> None:
    with pytest.raises(RecipeError, match=r"liss4: augment\.colour_jitter_share: bands lack red"):
        load_recipe("liss4", ["augment.colour_jitter_share=0.5"])


def test_cloud_rgb_is_what_its_authors_describe() -> None:
    recipe = load_recipe("cloud-rgb")
    assert recipe.bands == ("red", "green", "blue"), "as ImageNet's encoders want them"
    assert recipe.data.resize == recipe.data.patch == 256
    assert recipe.normalisation.clip == (0.0, 0.4)
    assert recipe.normalisation.levels == 256
    assert recipe.label_channels() == {0: 0, 1: 1, 2: 1, 3: 0, 4: 0}
    assert (recipe.network.encoder, recipe.network.encoder_weights) == (
        "efficientnet-b2",
        "imagenet",
    )
    loss = recipe.loss
    assert (loss.focal, loss.focal_gamma, loss.dice, loss.cross_entropy) == (0.25, 2, 0.75, 0)
    assert recipe.optimizer.schedule == "plateau"
    assert (recipe.trainer.monitor, recipe.trainer.patience) == ("val_iou", 5)


def test_the_nine_bands_are_what_their_authors_describe() -> None:
    recipe = load_recipe("cloud-shadow-9band")
    products = {band.common: band.name for band in SENTINEL2.bands}
    assert " ".join(products[band] for band in recipe.bands) == (
        "B02 B03 B04 B05 B06 B07 B08 B11 B12"
    )
    assert recipe.normalisation == Normalisation(clip=(0, 1), mean=(0.0,) * 9, std=(1.0,) * 9)
    assert recipe.label_channels() == {0: 0, 1: 1, 2: 1, 3: 2, 4: 0}
    assert recipe.network.architecture == "plain-unet"
    assert (recipe.loss.cross_entropy, recipe.loss.dice, recipe.loss.focal) == (1, 0, 0)
    assert (recipe.trainer.monitor, recipe.trainer.pictures) == ("val_iou", 20)


def test_liss4_is_what_its_authors_describe() -> None:
    recipe = load_recipe("liss4")
    products = {band.common: band.name for band in LISS4.bands}
    assert [products[band] for band in recipe.bands] == ["BAND2", "BAND3", "BAND4"]
    assert recipe.label_channels() == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3}
    assert recipe.network.architecture == "Unet"
    assert (recipe.trainer.monitor, recipe.trainer.mode) == ("val_loss", "min")


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_takes_the_usual_overrides(name: str) -> None:
    recipe = load_recipe(name, ["network.encoder_weights=none", "trainer.max_epochs=1"])
    assert recipe.network.encoder_weights == "none"
    assert recipe.card.name == name
    assert recipe_summary(name).endswith(".")


def test_a_copy_is_the_recipe_with_its_comments(tmp_path) -> None:
    copy_recipe("liss4", tmp_path / "mine.toml")
    assert (tmp_path / "mine.toml").read_text() == recipe_text("liss4")
    assert load_recipe(tmp_path / "mine.toml") == load_recipe("liss4")
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        copy_recipe("cloud-rgb", tmp_path / "mine.toml")
    copy_recipe("cloud-rgb", tmp_path / "mine.toml", overwrite=True)
    assert load_recipe(tmp_path / "mine.toml") == load_recipe("cloud-rgb")
    with pytest.raises(OutputError, match=r"mine\.txt: .*name it \.toml"):
        copy_recipe("liss4", tmp_path / "mine.txt")
    with pytest.raises(RecipeError, match="no recipe is called 'liss5'; there are: cloud-rgb"):
        copy_recipe("liss5", tmp_path / "other.toml")


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from geomask.training.recipe import load_recipe; load_recipe('default'); "
        "sys.exit(bool({'torch', 'lightning', 'kornia', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
