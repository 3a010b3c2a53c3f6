"""Where model files are: bundled with the package, in the user's folders, or at a path."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from geomask.errors import GeomaskWarning, ModelError

SUFFIX = ".safetensors"

PATH_SUFFIXES = (SUFFIX, ".pth", ".pt", ".ckpt")
"""Endings that make a path of a text; those of pickles too, so that they are refused as such."""


def find_model(name: str | Path) -> Path:
    """The file of a model: a path if it looks like one, else a name that `list_models` lists.

    A path has a separator or one of `PATH_SUFFIXES`. Anything else is a name first: what the
    current folder happens to hold shadows no model. Raises ModelError, naming the models there
    are, or saying why a path is none.
    """
    text = str(name)
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if text.endswith(PATH_SUFFIXES) or any(separator in text for separator in separators):
        path = Path(text)
        try:
            is_file = stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_file = False
        except (OSError, ValueError) as error:  # ValueError: a null character
            reason = error.strerror if isinstance(error, OSError) else error
            raise ModelError(f"{path}: cannot be opened as a model file: {reason}") from error
        if not is_file:
            raise ModelError(f"{path}: no such model file")
        return path
    known = dict(list_models())
    if text not in known:
        if os.path.isfile(text):  # noqa: PTH113, Path.is_file raises for names too long
            return Path(text)
        names = ", ".join(known) or "none"
        raise ModelError(f"no model is called {text!r}; there are: {names} (or give a path)")
    return known[text]


def hash_model(path: Path) -> str:
    """SHA-256 of a model file, hexadecimal. Raises ModelError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def list_models() -> Iterator[tuple[str, Path]]:
    """(name, path) of every model that can be named: the bundled, then those in GEOMASK_MODELS.

    GEOMASK_MODELS holds folders, separated as PATH is. A name found twice keeps its first path.
    A folder that cannot be read is left out with a GeomaskWarning.
    """
    seen = set()
    for folder in _model_folders():
        for path in _model_files(folder):
            if path.stem not in seen:
                seen.add(path.stem)
                yield path.stem, path


def _model_folders() -> Iterator[Path]:
    try:
        yield Path(str(files("geomask.models")))
    except ModuleNotFoundError:  # run from a checkout that is not installed
        yield Path(__file__).parent.parent / "models"
    for part in os.environ.get("GEOMASK_MODELS", "").split(os.pathsep):
        if part:
            yield Path(part)


def _model_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else error
        warnings.warn(f"{folder}: its models are left out: {reason}", GeomaskWarning, stacklevel=3)
        return []
