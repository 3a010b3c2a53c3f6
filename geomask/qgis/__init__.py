"""A QGIS plugin: "Cloud mask (geomask)" in Processing. It runs in QGIS's Python, starts the
installed `geomask` as a program of its own, and imports nothing of it.

`python -m geomask.qgis geomask-qgis.zip` packs it. Imports are relative, for inside QGIS the folder
has another name; the Python is QGIS's, 3.9 at the oldest.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """What QGIS calls to load the plugin."""
    from .provider import Plugin

    return Plugin()
