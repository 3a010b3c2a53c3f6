"""What a scene's outputs are called, and that no two scenes share a name."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import unquote

from geomask.batch.inputs import SceneInput
from geomask.batch.task import Task
from geomask.errors import BatchError
from geomask.scene import is_product_metadata
from geomask.scene.stac.fetch import split_address

DEFAULT = "{stem}.tif"

FIELDS = ("stem", "parent")
"""What a template may name: the scene without its suffixes, and the folder that it lies in."""

LONGEST = 200
"""Bytes of a name: file systems take 255, and suffixes and working files' names come on top."""

_SUFFIXES = (".zip", ".safe", ".tif", ".tiff", ".jp2", ".vrt", ".json", ".geojson")
"""Ends that say what a scene is and not which."""

_UNUSABLE = re.compile(r"[^\w.+=@-]")
"""Characters that are left out of names made from addresses and identifiers."""


def name_tasks(scenes: Sequence[SceneInput], template: str = DEFAULT) -> tuple[Task, ...]:
    """A task for every scene, sorted by name, which is unique also where letter case does not
    count. Raises BatchError, naming two scenes that would share a name."""
    _check_template(template)
    found: dict[str, Task] = {}
    for scene in scenes:
        name = scene.name or _fill(template, scene.address)
        if not _is_name(name):
            raise BatchError(
                f"{scene.address}: its mask would be called {name + '.tif'!r}; name it otherwise, "
                "by --name or in a CSV list's column name"
            )
        other = found.get(name.casefold())
        if other is not None:
            if other.scene == scene.address:
                raise BatchError(f"{scene.address}: is listed twice; list it once")
            raise BatchError(
                f"{scene.address}: would be written to {name}.tif, and so would {other.scene}; "
                "use --name '{parent}_{stem}.tif', or names of a CSV list"
            )
        found[name.casefold()] = Task(scene.address, name)
    return tuple(sorted(found.values(), key=lambda task: task.name))


def _is_name(name: str) -> bool:
    """Whether files can be called so, with any of geomask's suffixes, and programs show it."""
    plain = name.isprintable() and not name.startswith(".") and not set(name) & {"/", "\\"}
    return 0 < len(name.encode("utf-8", "replace")) <= LONGEST and plain


def take_shard(tasks: Sequence[Task], shard: tuple[int, int] | None) -> tuple[Task, ...]:
    """Every n-th task from the i-th on, for shard (i, n), 1 <= i <= n: together the shards are
    all tasks, each once, and their sizes differ by one at most. Raises BatchError."""
    if shard is None:
        return tuple(tasks)
    index, count = shard
    if not 1 <= index <= count:
        raise BatchError(f"shard {index}/{count}: the first number is 1 to {count}")
    return tuple(tasks[index - 1 :: count])


def _check_template(template: str) -> None:
    try:
        fields = {name for _, name, *_ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise BatchError(f"--name {template!r} is no template: {error}") from error
    unknown = fields - set(FIELDS)
    if unknown or not fields or not template.endswith(".tif") or "/" in template:
        raise BatchError(
            f"--name {template!r}: a template ends in .tif, has no folder, and names "
            f"{' or '.join('{' + name + '}' for name in FIELDS)}"
        )


def _fill(template: str, address: str) -> str:
    parts = _parts(address)
    stem = parts[-1] if parts else ""
    while True:
        shorter = PurePath(stem)
        if shorter.suffix.lower() not in _SUFFIXES:
            break
        stem = shorter.stem
    parent = parts[-2] if len(parts) > 1 else ""
    known = {"stem": _UNUSABLE.sub("_", stem), "parent": _UNUSABLE.sub("_", parent)}
    return template.removesuffix(".tif").format_map(known)


def _parts(address: str) -> list[str]:
    """The folders and the name that an address consists of; of a product that is named by its
    metadata file, those of its folder."""
    split = split_address(address) if "://" in address else None
    path = address if split is None else unquote(split.path)  # a malformed one fails when opened
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]
    if parts and is_product_metadata(parts[-1]):
        parts.pop()
    return parts
