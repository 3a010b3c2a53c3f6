"""`geomask data cloudsen12` and `subset` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from geomask.cli.data_cloudsen12 import cloudsen12, subset
from geomask.errors import OptionError, RecipeError
from geomask.training.chips import read_manifest
from tests.training.taco_sets import Spec, first_generation

COMMANDS = {"cloudsen12": cloudsen12, "subset": subset}
USUAL = {"real_proj_shape": 509}
SPECS = (
    Spec("a", "ROI_1", "train", changes=USUAL),
    Spec("b", "ROI_2", "test", country="Peru", labels=(0, 1), changes=USUAL),
    Spec("c", "ROI_3", "train"),
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command beside set.tortilla; words are separated by blanks."""
    first_generation(tmp_path / "set.tortilla", SPECS)
    monkeypatch.chdir(tmp_path)

    def invoke(line: str) -> Result:
        name, *words = line.split()
        return CliRunner().invoke(COMMANDS[name], words)

    return invoke


def test_samples_become_chips_and_the_second_run_adds_the_rest(run, tmp_path) -> None:
    done = run("cloudsen12 --out chips --source set.tortilla --bands red,nir --limit 1 --json")
    assert done.exit_code == 0
    first = json.loads(done.stdout)
    assert (len(first["written"]), first["present"], first["left_out"]) == (1, 0, [])
    done = run("cloudsen12 --out chips --source set.tortilla --size all --bands B04,nir")
    assert done.exit_code == 0
    assert "chips written  2" in done.stdout
    assert "there before   1" in done.stdout
    assert {chip.id for chip in read_manifest(tmp_path / "chips")} == {"a", "b", "c"}


def test_quiet_says_nothing(run) -> None:
    done = run("cloudsen12 --out chips --source set.tortilla --quiet")
    assert (done.exit_code, done.output) == (0, "")


def test_filters_reach_the_selection(run, tmp_path) -> None:
    done = run(
        "subset --out small.tortilla --source set.tortilla --country peru --with cloud "
        "--bbox -180,-90,180,90 --split test --label-type high --json"
    )
    assert done.exit_code == 0
    assert json.loads(done.stdout)["written"] == ["b"]
    done = run("cloudsen12 --out chips --source small.tortilla --quiet")
    assert done.exit_code == 0
    assert [chip.id for chip in read_manifest(tmp_path / "chips")] == ["b"]


def test_a_damaged_sample_is_told_and_in_the_exit_code(run, tmp_path) -> None:
    path = tmp_path / "set.tortilla"
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF  # the first sample's magic
    path.write_bytes(data)
    done = run("cloudsen12 --out chips --source set.tortilla --json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["written"] == ["b"]
    assert "a is damaged" in told["left_out"][0]
    assert done.stderr.startswith("Left out: set.tortilla: a is damaged")


def test_ctrl_c_says_how_to_go_on(run, tmp_path, monkeypatch) -> None:
    from geomask.training.chip_folder import ChipFolder

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(ChipFolder, "add", stop)
    done = run("cloudsen12 --out chips --source set.tortilla")
    assert done.exit_code == 130
    assert done.stderr == "Interrupted; the same command goes on from here.\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--bbox 1,2,3", "is not W,S,E,N"),
        ("--bbox 1,2,3,1", "south below north"),
        ("--bbox 1,2,300,4", "longitudes"),
        ("--with cloud,rain", "'rain' is none of clear, cloud"),
        ("--limit 0", "--limit"),
        ("--label-type nolabel", "--label-type"),
        ("--size 512", "--size"),
        ("--level l3", "--level"),
    ],
)
def test_bad_options_exit_2(run, words, reason) -> None:
    done = run(f"cloudsen12 --out chips --source set.tortilla {words}")
    assert done.exit_code == 2
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("cloudsen12 --out chips --source none.taco", RecipeError, "no such file"),
        ("cloudsen12 --out chips --source set.tortilla --bands B99", OptionError, "--bands"),
        ("subset --out small.zip --source set.tortilla", OptionError, "is neither"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_geomask(run, line, kind, reason) -> None:
    done = run(line)
    assert isinstance(done.exception, kind)
    assert reason in str(done.exception)


def test_without_a_source_it_is_the_published_set_of_the_level(run, monkeypatch) -> None:
    asked = []

    def refuse(sources):
        asked.extend(sources)
        raise RecipeError("no network")

    monkeypatch.setattr("geomask.training.taco.list_samples", refuse)
    run("cloudsen12 --out chips")
    run("subset --out small.tortilla --level l2a")
    assert asked == ["tacofoundation:cloudsen12-l1c", "tacofoundation:cloudsen12-l2a"]


@pytest.mark.parametrize("command", COMMANDS.values())
def test_help_lists_every_filter(command: click.Command) -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    for option in ("--source", "--bbox", "--country", "--with", "--split", "--limit", "--seed"):
        assert option in text
