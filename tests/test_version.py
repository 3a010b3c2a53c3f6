"""The version is the same wherever it is told."""

from __future__ import annotations

from pathlib import Path

from geomask.version import __version__

ROOT = Path(__file__).parents[1]


def test_what_to_cite_is_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_changelog_tells_of_this_version() -> None:
    assert f"\n## {__version__} (" in (ROOT / "CHANGELOG.md").read_text()
