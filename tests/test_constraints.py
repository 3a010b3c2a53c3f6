"""The oldest versions that are tested are those that setup.cfg states."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]

UNTESTED = {
    # Of the developer: they format, check types and drive a browser.
    "mypy",
    "playwright",
    "pre-commit",
    "ruff",
    "types-defusedxml",
    # They need newer versions of the others than geomask does.
    "pytortilla",
    "tacotoolbox",
}
WITH_ANOTHER = {"torchvision"}
"""What no requirement names, and what one brings whose newest version would not do."""


def _named(line: str) -> str:
    return re.split(r"[\s\[>=<]", line, maxsplit=1)[0].lower()


def _version(text: str) -> tuple[int, ...]:
    """(1, 26) of 1.26.0: zeros at the end say nothing."""
    numbers = [int(part) for part in text.split(".")]
    while numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _stated() -> dict[str, tuple[int, ...]]:
    """Least versions by name, of setup.cfg: the package's, and those of all extras."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line for text in texts for line in text.splitlines() if line]
    found = [(_named(line), re.search(r">= ([\d.]+)", line)) for line in lines]
    assert all(match for _, match in found), "every requirement states its least version"
    return {name: _version(match[1]) for name, match in found if match}


def test_the_oldest_versions_are_those_that_setup_cfg_states() -> None:
    text = (ROOT / "constraints/oldest.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    tested = {_named(line): _version(line.partition("== ")[2].split()[0]) for line in lines}
    stated = _stated()
    assert {n: v for n, v in tested.items() if n not in WITH_ANOTHER} == {
        n: v for n, v in stated.items() if n not in UNTESTED
    }
    assert set(stated) >= UNTESTED, "none of them is gone from setup.cfg"
