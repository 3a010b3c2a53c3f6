"""Which errors may be gone a moment later: those of a network or a disk, not of a scene."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from http.client import HTTPException
from urllib.error import HTTPError, URLError

from geomask.raster import GDAL_ERRORS

PASSING = {
    errno.EIO,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EINTR,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.EPIPE,
}
"""What the system says of a disk or a network that may answer again. A full disk, a file that is
not there and one that may not be read are not among them."""

BUSY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers that ask to come again (RFC 9110, RFC 6585, RFC 8470), and servers' own faults."""

_GDAL = re.compile(
    r"response[ _]code(?: on [^:]*)?[:=]? ?(?:408|425|429|50[0234])\b"
    r"|CURL error|timed? ?out|Could(?: not|n't) (?:resolve|connect)|Connection (?:reset|refused)"
    r"|Empty reply from server|Failure when receiving data",
    re.IGNORECASE,
)
"""How GDAL and the curl in it tell of the same; they give texts alone."""


def is_passing(error: BaseException) -> bool:
    """Whether trying again may help: by the error, and by what caused it."""
    return any(_passing(one) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        reason = getattr(error, "reason", None)
        if isinstance(error, URLError) and isinstance(reason, BaseException):
            yield reason
        error = error.__cause__


def _passing(error: BaseException) -> bool:
    if isinstance(error, HTTPError):
        return error.code in BUSY
    if isinstance(error, (HTTPException, TimeoutError)):
        return True
    if isinstance(error, OSError) and error.errno in PASSING:
        return True
    return isinstance(error, GDAL_ERRORS) and _GDAL.search(str(error)) is not None
