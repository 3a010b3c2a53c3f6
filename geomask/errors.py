"""The errors geomask raises on purpose; everything else is a bug.

A message is one sentence a user can act on: it names the file, what was found, what was
expected and what to do. The command line catches `GeomaskError` once and exits 1.
"""


class GeomaskError(Exception):
    """Base of every error that geomask raises on purpose."""


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
    """Something the user should know and may accept: an assumption made, and how to state it."""
