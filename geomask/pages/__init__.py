"""What every page of ours is made of: elements, and the colours and type they share. A page is one
file that loads nothing, read by light and by dark."""

from __future__ import annotations

from importlib.resources import files
from string import Template

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
