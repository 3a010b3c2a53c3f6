"""What every page of ours is made of: elements, and the colours and type they share. A page is one
file that loads nothing, read by light and by dark."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

from geomask.errors import OutputError
from geomask.output import Staged, target_of
from geomask.pages.markup import Html, text
from geomask.version import __version__


def fill(package: str, name: str, **parts: object) -> str:
    """The template `name` of a package with its parts, of which what is not markup is escaped.

    Beside them it may use $base, the shared style, and $version.
    """
    base = files(__package__).joinpath("base.css").read_text("utf-8")
    known = {"base": Html(base), "version": __version__, **parts}
    template = Template(files(package).joinpath(name).read_text("utf-8"))
    return template.substitute({name: text(part) for name, part in known.items()})


def write_page(path: str | Path, page: str) -> None:
    """Write a page; `path` holds all of it or what was there before. Raises OutputError."""
    with Staged(path) as staged:
        try:
            staged.path.write_text(page, "utf-8")
        except OSError as error:
            raise OutputError(
                f"{target_of(path)}: cannot be written: {error.strerror or error}"
            ) from error
        staged.commit()
