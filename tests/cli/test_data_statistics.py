"""`geomask data statistics`, run as a user runs it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from geomask.cli import cli
from geomask.errors import RecipeError
from geomask.training.recipe import load_recipe
from tests.training.conftest import chip_folder

__all__ = ["chip_folder"]


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", "statistics", *map(str, words)])


def test_what_it_prints_goes_into_a_recipe(chip_folder, tmp_path: Path) -> None:
    folder = chip_folder("chips", 5)
    mine = tmp_path / "mine.toml"
    assert CliRunner().invoke(cli, ["recipes", "copy", "default", str(mine)]).exit_code == 0
    result = run("--recipe", mine, "--data", folder, "-q", "--set", "data.validation_groups=[]")
    assert result.exit_code == 0, result.output
    printed = tomllib.loads(result.stdout)
    lines = mine.read_text().splitlines()
    for key in ("mean", "std"):
        at = next(at for at, line in enumerate(lines) if line.startswith(f"{key} = "))
        lines[at] = next(line for line in result.stdout.splitlines() if line.startswith(key))
    mine.write_text("\n".join(lines))
    recipe = load_recipe(mine)
    assert list(recipe.normalisation.mean) == printed["mean"]
    assert list(recipe.normalisation.std) == printed["std"]
    assert "4 chips of 4 groups: blue, green," in result.stdout


def test_a_recipe_with_other_bands_has_none_yet(chip_folder, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    assert CliRunner().invoke(cli, ["recipes", "copy", "liss4", str(mine)]).exit_code == 0
    bands = 'bands = ["blue", "green", "red", "nir"]'
    text = mine.read_text()
    start = text.index("bands = ")
    text = text[:start] + bands + text[text.index("]", start) + 1 :]
    mine.write_text("\n".join(line for line in text.splitlines() if not line.startswith("std =")))
    with pytest.raises(RecipeError, match="normalisation"):
        load_recipe(mine)
    result = run("--recipe", mine, "--data", chip_folder("chips", 4), "-q")
    assert result.exit_code == 0, result.output
    assert [len(values) for values in tomllib.loads(result.stdout).values()] == [4, 4]


def test_json(chip_folder) -> None:
    folder = chip_folder("chips", 4)
    result = run(
        "--recipe", "liss4", "--data", folder, "--set", "normalisation.clip=[0,0.5]", "--json"
    )
    found = json.loads(result.stdout)
    assert found["bands"] == ["green", "red", "nir"]
    assert all(0 < value < 1 for value in found["mean"] + found["std"])


@pytest.mark.parametrize("words", [(), ("--recipe", "default"), ("--data", ".")])
def test_what_is_lacking_is_named(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "--recipe and --data" in result.output
