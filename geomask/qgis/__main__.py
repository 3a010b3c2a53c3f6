"""Packs the QGIS plugin: `python -m geomask.qgis geomask-qgis.zip`."""

from __future__ import annotations

import argparse
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

from geomask.errors import GeomaskError
from geomask.output import Staged, check_output, writing

PLUGIN = "geomask_qgis"
"""Name of the plugin's folder inside QGIS, where it must not be taken for the package."""

PARTS = ("__init__.py", "algorithm.py", "icon.svg", "metadata.txt", "process.py", "provider.py")

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every file in it, the earliest there is: the same plugin gives the same bytes."""


def pack(target: Path, *, overwrite: bool = False) -> None:
    """Write the plugin's zip, as QGIS installs it. Raises OutputError."""
    check_output(target, overwrite=overwrite)
    with Staged(target) as staged:
        with writing(target), zipfile.ZipFile(staged.path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in PARTS:
                entry = zipfile.ZipInfo(f"{PLUGIN}/{part}", EPOCH)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, files(__package__).joinpath(part).read_bytes())
        staged.commit()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m geomask.qgis",
        description="Write the QGIS plugin to OUT, a .zip; Plugins > Install from ZIP takes it.",
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--overwrite", action="store_true", help="Replace a file that exists.")
    given = parser.parse_args()
    try:
        pack(given.out, overwrite=given.overwrite)
    except GeomaskError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
