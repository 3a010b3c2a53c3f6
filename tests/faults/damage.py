"""Damage to files, the same for the same seed; and what is in a folder, to compare."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

PLACES = 10
"""Lengths that a file is cut to: nothing, a tenth, and so on."""

HEAD = 600
"""Bytes at the start of a file that every other flip falls into: what a file says of itself is
there, and much smaller than its pixels."""

Damage = Callable[[Path], None]


def cut(path: Path, place: int) -> None:
    """Leave only so many tenths of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * place // PLACES])


def flip(path: Path, seed: int) -> None:
    """Turn over one bit, or eight, or overwrite 16 bytes; in the head with odd seeds."""
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    end = min(HEAD, len(data)) if seed % 2 else len(data)
    if seed % 5 == 4:
        start = rng.randrange(end)
        data[start : start + 16] = rng.randbytes(len(data[start : start + 16]))
    else:
        for _ in range(8 if seed % 5 == 3 else 1):
            data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def folder_instead(path: Path) -> None:
    """Put an empty folder where a file was."""
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def text_instead(path: Path) -> None:
    """Put a note where a file was."""
    path.write_text("The disk of this archive failed in 2019; ask for a copy.\n")


def bytes_instead(path: Path) -> None:
    """Put random bytes where a file was, as long as it."""
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, hidden ones too, with its bytes; None for a folder."""
    return {
        str(path.relative_to(folder)): _bytes(path) if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _bytes(path: Path) -> bytes:
    """What is in a file; of one that may not be read, what else would change with it."""
    try:
        return path.read_bytes()
    except PermissionError:
        found = path.stat()
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}".encode()


def restore(folder: Path, whole: dict[str, bytes | None]) -> None:
    """Bring a folder back to what `snapshot` saw."""
    now = snapshot(folder)
    for name in sorted(now.keys() - whole.keys(), reverse=True):
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()
    for name, data in whole.items():
        path = folder / name
        if data is None:
            path.mkdir(exist_ok=True)
        elif now.get(name, b"") != data or name not in now:
            if path.is_dir():
                shutil.rmtree(path)
            path.write_bytes(data)
