"""Where model files are: bundled with the package, in the user's folders, or at a path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from geomask.errors import ModelError

SUFFIX = ".safetensors"


def find_model(name: str | Path) -> Path:
    """The file of a model: a path if it looks like one, else a name that `list_models` lists.

    Raises ModelError, naming the models there are.
    """
    text = str(name)
    if text.endswith(SUFFIX) or os.sep in text or Path(text).is_file():
        path = Path(text)
        if not path.is_file():
            raise ModelError(f"{path}: no such model file")
        return path
    known = dict(list_models())
    if text not in known:
        names = ", ".join(known) or "none"
        raise ModelError(f"no model is called {text!r}; there are: {names} (or give a path)")
    return known[text]


def list_models() -> Iterator[tuple[str, Path]]:
    """(name, path) of every model that can be named: the bundled, then those in GEOMASK_MODELS.

    GEOMASK_MODELS holds folders, separated as PATH is. A name found twice keeps its first path.
    """
    seen = set()
    for folder in _model_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if path.stem not in seen:
                seen.add(path.stem)
                yield path.stem, path


def _model_folders() -> Iterator[Path]:
    try:
        yield Path(str(files("geomask.models")))
    except ModuleNotFoundError:  # run from a checkout that is not installed
        yield Path(__file__).parent.parent / "models"
    for part in os.environ.get("GEOMASK_MODELS", "").split(os.pathsep):
        if part and Path(part).is_dir():
            yield Path(part)
