"""Hidden folders that hold what is on its way, and the locks that say whose they are.

A target's folder lies beside it, `.NAME.geomask-HOST-PID-N`. A lock on a file in it says that its
run is alive; after a SIGKILL the folder remains, unlocked, and is swept.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is swept
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""The file in such a folder that its run has locked."""

PATIENCE = 60.0
"""Seconds to wait for another run that moves its files into the same folder, which takes it
milliseconds."""

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_COUNTER = itertools.count()
_FOLDER = re.compile(r"\.(.+)\.geomask-[0-9a-f]{8}-\d+-\d+")


def target_of(path: str | Path) -> str | Path:
    """What to call a file: where a staged one is on its way to, any other as it is."""
    found = _FOLDER.fullmatch(Path(path).parent.name)
    return Path(path).parent.with_name(found[1]) if found else path


def hidden(place: Path) -> Path:
    """A new name for a folder beside `place`."""
    name = f".{place.name}.geomask-{_HOST}-{os.getpid()}-{next(_COUNTER)}"
    return place.with_name(name)


def claim(place: Path) -> tuple[Path, int | None]:
    """A new folder beside `place`, and the lock that keeps it from being swept."""
    for _ in range(10):
        folder = hidden(place)
        try:
            folder.mkdir()
        except FileExistsError:  # of another container with this host name and process number
            continue
        try:
            return folder, _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # someone swept the folder before it was locked
        except OSError:  # no more files can be opened
            folder.rmdir()
            raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _lock(folder: Path) -> int | None:
    """The descriptor that holds the folder's lock; None where the system has no such locks.

    Raises BlockingIOError where another one holds it, FileNotFoundError where it is gone.
    """
    if fcntl is None:
        return None
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file), (folder / LOCK).stat()):
            raise FileNotFoundError
    except OSError as error:
        os.close(file)
        if isinstance(error, (BlockingIOError, FileNotFoundError)):
            raise
        return None  # some network disks
    return file


def drop(folder: Path, lock: int | None, owner: int) -> None:
    """Give up what `claim` gave: the folder, with all that is in it. owner: the process that it was
    given to; one that was forked since leaves the folder alone."""
    # Unlocked first: on NFS an open file cannot be removed, nor the folder it is in.
    if lock is not None:
        os.close(lock)
    if os.getpid() == owner:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove such a folder with all that is in it, or what of it can be removed.

    File by file at first, for which one more open file is enough; `rmtree` needs two.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        return
    shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed runs left in a folder: staging folders whose lock nobody holds.

    name: of the only target whose leftovers are meant; of any unless given.
    """
    try:
        beside = list(folder.iterdir())
    except OSError:
        return
    for path in beside:
        found = _FOLDER.fullmatch(path.name)
        if found is None or name not in (None, found[1]) or path.is_symlink():
            continue
        with suppress(OSError):
            lock = _lock(path)
            if lock is None:
                continue
            # Under another name first, so that a run that has only just made this folder and
            # locks it a moment later sees that it is gone.
            doomed = hidden(folder / found[1])
            try:
                path.rename(doomed)
            finally:
                os.close(lock)
            remove(doomed)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other run moves files into that folder: parts of two shapefiles would mix.

    Raises TimeoutError after `PATIENCE`. Nothing where the system has no such locks, or lets
    nobody look into the folder.
    """
    if fcntl is None or not os.access(folder, os.R_OK):
        yield
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + PATIENCE
        while not _locked(file):
            if time.monotonic() > until:
                raise TimeoutError(errno.EBUSY, "another program has the folder locked")
            time.sleep(0.01)
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    """Whether a lock is held now; True as well where a network disk has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
