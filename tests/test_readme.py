"""What README and docs tell people to type: commands and options exist, and the Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import rasterio

from geomask.cli import cli
from tests.conftest import random_dn, write_scene

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Code of that language, as it stands between its fences."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """Every `geomask ...` of a page: of its blocks, fenced or indented, and within its text."""
    text = page.read_text("utf-8")
    code = "".join([*blocks(page, "(?:bash)?"), *re.findall(r"^ {4}.*\n", text, re.M)])
    lines = re.findall(r"^ *(?:\S*bin/)?(geomask .*)$", code.replace("\\\n", " "), re.M)
    lines += re.findall(r"`(geomask\s[a-z][^`]*)`", text)
    return [shlex.split(line.partition(" |")[0], comments=True) for line in lines]


def named(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that those words call, and what it is given."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        below = command.get_command(click.Context(command), words[0]) if words else None
        if below is not None:
            command, words = below, words[1:]
        elif command.name == "batch":  # which runs what it does not know by name
            words = ["run", *words]
        else:
            assert not words or words[0].startswith("-"), words
            break
    return command, words


def test_pages_are_read() -> None:
    assert len(blocks(ROOT / "README.md", "python")) == 1
    assert len(commands(ROOT / "README.md")) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for words in commands(page):
        command, rest = named(words[1:])
        options = {name for item in command.params for name in (*item.opts, *item.secondary_opts)}
        for word in rest:
            name = word.partition("=")[0]
            if name.startswith("--"):
                assert name in options | {"--help", "--version"}, shlex.join(words)


def test_the_python_of_readme_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "stack.tif", random_dn(96, 128), bands=(None,) * 3, scale=None)
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "stated by the user" in capsys.readouterr().out
    with rasterio.open("mask.tif") as mask, rasterio.open("edited.tif") as edited:
        assert mask.shape == edited.shape == (96, 128)
    assert {path.name for path in tmp_path.glob("*.html")} == {"view.html"}
