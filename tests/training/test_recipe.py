"""Recipes: what they say, what overrides change, and what wrong ones are told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from geomask.card import Normalisation
from geomask.errors import RecipeError
from geomask.training.recipe import list_recipes, load_recipe

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
        ("optimizer.lr=fast", r"optimizer.lr: .*number"),
        ("optimizer.lr=-1", r"optimizer.lr: .*greater than 0"),
        ("optimizer.lr", r"'optimizer.lr': an override is table.key=value"),
        ("=1", "an override is table.key=value"),
        ("optimizer..lr=1", "an override is table.key=value"),
        ("bands.first=1", "bands is not a table; set bands as a whole"),
        ("labels.haze=cloud", "labels.haze: chips have clear, thick_cloud"),
        ("labels.snow=ice", "labels.snow: no class is called 'ice'"),
        ('bands=["red"]', "normalisation: 6 values of mean for 1 bands"),
        ("data.patch=100", "data.patch: .*multiple of 32"),
        ("trainer.precision=fp8", "trainer.precision: .*'auto', 'fp32' or 'bf16'"),
        ("augment.gain=[2, 1]", r"augment: gain \[2.0, 1.0\] is not"),
        ("loss={cross_entropy=0, dice=0}", "loss: cross_entropy and dice are both 0"),
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


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from geomask.training.recipe import load_recipe; load_recipe('default'); "
        "sys.exit(bool({'torch', 'lightning', 'kornia', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
