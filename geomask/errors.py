"""The errors geomask raises on purpose; everything else is a bug.

A message is one sentence a user can act on: it names the file, what was found, what was
expected and what to do. The command line catches `GeomaskError` once and exits 1.
"""

from __future__ import annotations

import re

LONGEST = 6000
"""Characters of a message: a path may have 4095 bytes (Linux, PATH_MAX), an address in a file any
number."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, half characters, and what turns the direction of text around
(Unicode TR 36, 2.5): a terminal obeys them, and a log's reader does not see them."""


def shown(value: object) -> str:
    """A value as text in one line that is safe to print, whatever file it comes from: what is not
    seen is written as Python does, \\n and \\x1b."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], str(value))


def _message(text: str) -> str:
    """What an error says: its own words, which come last, and the file, which comes first."""
    line = shown(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 4 :]}"


class GeomaskError(Exception):
    """Base of every error that geomask raises on purpose; its text is one line."""

    def __str__(self) -> str:
        return _message(super().__str__())


class SceneError(GeomaskError):
    """A scene cannot be opened or read as asked."""


class BandError(SceneError):
    """A band that is needed is not in the scene, or cannot be told from its name."""


class ModelError(GeomaskError):
    """A model file is missing, damaged, or not one of ours."""


class MaskError(GeomaskError):
    """A raster that should be a class mask is not one."""


class OutputError(GeomaskError):
    """An output cannot be written where it was asked for."""


class OptionError(GeomaskError):
    """An option's value contradicts the scene, the model or another option."""


class RecipeError(GeomaskError):
    """A recipe or a chip folder does not say what training needs."""


class BatchError(GeomaskError):
    """A batch cannot begin or go on: its list of scenes, its names, its workers."""


class GeomaskWarning(UserWarning):
    """Something the user should know and may accept: an assumption made, and how to state it.
    Its text is one line."""

    def __str__(self) -> str:
        return _message(super().__str__())
