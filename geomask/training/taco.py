"""Samples of TACO files, of both generations, as tacoreader lists them.

A sample is a few small files, an image and its labels, and a row of metadata. The first
generation (`.taco`, `.tortilla` and the sets that are named `tacofoundation:NAME`) keeps a sample
in one range of bytes, itself a tortilla; the second (`.tacozip`) each of its files in one.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec

from geomask.errors import RecipeError
from geomask.signals import result_of
from geomask.training.tortilla import unpack

FOUNDATION = "tacofoundation:"
"""What the names of the TACO Foundation's published sets begin with."""

FIRST_GENERATION = (".taco", ".tortilla")
SECOND_GENERATION = (".tacozip",)
SUFFIXES = FIRST_GENERATION + SECOND_GENERATION

_PAUSES = (1.0, 4.0, 16.0)
"""Seconds before a remote range is asked for again; Hugging Face turns down fast readers."""

_READERS = 4
"""Samples that are fetched at once: a remote range takes about a second, most of it waiting."""


class SampleError(RecipeError):
    """A sample whose bytes are not what its set says of them."""


@dataclass(frozen=True)
class Content:
    """files: GeoTIFFs as bytes, by name. blob: all of them as the set has them, if in one range."""

    files: Mapping[str, bytes]
    blob: bytes | None = None


@dataclass(frozen=True)
class Sample:
    """One sample. source: file or URL it is in. row: its metadata. licences: the set's own."""

    id: str
    source: str
    row: Mapping[str, Any]
    read: Callable[[], Content]
    licences: tuple[str, ...] = ()


def list_samples(sources: Iterable[str | Path]) -> list[Sample]:
    """The samples of files, folders of files, URLs and published sets, in their order.

    Raises RecipeError for what cannot be reached or is no TACO file.
    """
    return [sample for source in sources for file in _files(str(source)) for sample in _list(file)]


def fetch(
    samples: Iterable[Sample],
) -> Generator[tuple[Sample, Content | SampleError], None, None]:
    """Each sample with its files, in order, the next ones being read meanwhile.

    Raises RecipeError where a source cannot be reached any more.
    """
    todo = iter(samples)
    waiting: deque[Any] = deque()
    pool = ThreadPoolExecutor(_READERS)
    try:
        for sample in islice(todo, 2 * _READERS):
            waiting.append((sample, pool.submit(_content, sample)))
        while waiting:
            sample, future = waiting.popleft()
            content = result_of(future)
            for following in islice(todo, 1):
                waiting.append((following, pool.submit(_content, following)))
            yield sample, content
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _content(sample: Sample) -> Content | SampleError:
    try:
        return sample.read()
    except SampleError as error:
        return error


def _files(source: str) -> list[str]:
    """The TACO files that a source stands for."""
    if source.startswith(FOUNDATION):
        return _published(source)
    folder = Path(source)
    if "://" not in source and folder.is_dir():
        found = sorted(str(path) for path in folder.iterdir() if path.suffix in SUFFIXES)
        if not found:
            raise RecipeError(f"{source}: has no file that ends in {', '.join(SUFFIXES)}")
        return found
    if not source.endswith(SUFFIXES):
        raise RecipeError(
            f"{source}: is no TACO file; name one that ends in {', '.join(SUFFIXES)}, a folder of "
            f"such, or a published set, as in {FOUNDATION}cloudsen12-l1c"
        )
    if "://" not in source and not folder.exists():
        raise RecipeError(f"{source}: no such file")
    return [source]


def _published(source: str) -> list[str]:
    """URLs of the files of a published set, which the foundation lists on the network."""
    _tacoreader("tacoreader.v1")
    loader = _tacoreader("tacoreader.v1.loader_utils")
    try:
        with quiet():
            published = dict(loader.load_tacofoundation_datasets())
    except Exception as error:  # requests', JSON's
        raise _unreachable(f"{source}, which is listed on huggingface.co,", error) from error
    name = source.removeprefix(FOUNDATION)
    if name not in published:
        alike = sorted(other for other in published if other.startswith(name[:5]))
        raise RecipeError(
            f"{source}: the TACO Foundation publishes no such set; it has "
            f"{', '.join(alike or sorted(published))}"
        )
    urls = published[name]
    return [urls] if isinstance(urls, str) else list(urls)


def _list(source: str) -> list[Sample]:
    reader = _second if source.endswith(SECOND_GENERATION) else _first
    try:
        with quiet():
            return reader(source)
    except RecipeError:
        raise
    # tacoreader, pyarrow, duckdb, tacozip and fsspec each have errors of their own, and a length
    # that was damaged can ask for more memory than there is.
    except Exception as error:
        if "://" in source:
            raise _unreachable(source, error) from error
        raise RecipeError(
            f"{source}: is damaged, or not the TACO file that its name says ({_why(error)}); "
            "download it again"
        ) from error


def _first(source: str) -> list[Sample]:
    """The samples of a `.taco` or `.tortilla`. One part is read at a time: given several,
    tacoreader prints the errors of those that fail and goes on without them."""
    reader = _tacoreader("tacoreader.v1")
    rows = reader.load(source).to_dict("records")
    try:
        licences = _texts(reader.load_metadata(source).get("licenses"))
    except ValueError:  # a tortilla, whatever its suffix, has no description
        licences = ()
    samples = []
    for row in rows:
        name, offset, length = (row[f"tortilla:{key}"] for key in ("id", "offset", "length"))
        _check_kind(source, name, row["tortilla:file_format"] == "TORTILLA")
        read = partial(_read_tortilla, source, name, int(offset), int(length))
        samples.append(Sample(name, source, row, read, licences))
    return samples


def _second(source: str) -> list[Sample]:
    """The samples of a `.tacozip`."""
    with _tacoreader("tacoreader").load(source) as dataset:
        table, licences = dataset.data, _texts(dataset.licenses)
    samples = []
    for position, row in enumerate(table.to_arrow().to_pylist()):
        _check_kind(source, row["id"], row["type"] == "FOLDER")
        read = partial(_read_folder, source, row["id"], table, position)
        samples.append(Sample(row["id"], source, row, read, licences))
    return samples


def _check_kind(source: str, name: str, nested: bool) -> None:
    if not nested:
        raise RecipeError(
            f"{source}: {name} is a single file; expected samples of an image and its labels"
        )


def _texts(values: Any) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(map(str, values or ()))


def _read_tortilla(source: str, name: str, offset: int, length: int) -> Content:
    blob = _range(source, name, offset, length)
    try:
        return Content(unpack(blob), blob)
    except ValueError as error:
        raise SampleError(f"{source}: {name} is damaged: {error}") from error


def _read_folder(source: str, name: str, table: Any, position: int) -> Content:
    try:
        children = table.read(position).to_arrow().to_pylist()
        places = [(str(c["id"]), c["internal:offset"], c["internal:size"]) for c in children]
    except Exception as error:  # as in _list
        if "://" in source:
            raise _unreachable(source, error) from error
        raise SampleError(f"{source}: {name} is damaged: its table cannot be read") from error
    return Content({child: _range(source, name, first, size) for child, first, size in places})


def _range(source: str, name: str, offset: int, length: int) -> bytes:
    """Bytes [offset, offset + length) of a file or URL."""
    if offset < 0 or length <= 0:
        raise SampleError(f"{source}: {name} is damaged: it lies at byte {offset}, {length} long")
    remote = "://" in source
    for pause in (*_PAUSES, None):
        try:
            system, path = fsspec.core.url_to_fs(source)
            data: bytes = system.cat_file(path, start=offset, end=offset + length)
            break
        except Exception as error:  # a file system's own
            if pause is None or not remote or isinstance(error, FileNotFoundError):
                raise _unreachable(source, error) from error
            time.sleep(pause)
    if len(data) != length:
        raise SampleError(
            f"{source}: {name} is damaged: {len(data)} of its {length} bytes are there"
        )
    return data


def _tacoreader(module: str) -> Any:
    """A module of tacoreader, imported without what it does to logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RecipeError(
            f"TACO files are read with tacoreader, which cannot be imported ({error}); "
            "pip install tacoreader requests"
        ) from error
    finally:  # tacoreader.v1 sets up the root logger, and INFO of every library would show
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings about libraries' own code, and with what they print on standard error."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def _unreachable(source: str, error: Exception) -> RecipeError:
    remote = "://" in source or source.startswith(FOUNDATION)
    if not remote:
        return RecipeError(f"{source}: cannot be read ({_why(error)})")
    return RecipeError(
        f"{source} could not be reached ({_why(error)}); try again where the network allows it, "
        f"or give local files: --source FILE ({', '.join(SUFFIXES)})"
    )


def _why(error: BaseException) -> str:
    """The first thing that went wrong, in one clause."""
    seen: list[BaseException] = []
    while error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__ or error
    strerror = error.strerror if isinstance(error, OSError) else None
    text = str(strerror or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:200]
