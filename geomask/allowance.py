"""How large a network may become while it is built from what a model file says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from geomask.errors import ModelError

SLACK = 2**28
"""Numbers beside the weights: what layers are initialised with, buffers that no file holds, and
what some encoders throw away again, such as the 120 million of VGG's classifier."""


class Allowance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, torch makes no more numbers than a file of that size could hold.

    A card says in a few bytes how wide each layer is, and the network is built before its weights
    are compared with the file's. path, size: of the file, bytes; a weight takes one at least.
    Raises ModelError from within what is being built.
    """

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = path
        self.left = size + SLACK

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        arguments = func._schema.arguments
        if arguments and arguments[0].name == "size":
            self.left -= math.prod(args[0])
            if self.left < 0:
                raise ModelError(
                    f"{self.path}: its card describes a network that is larger than the file; "
                    "it is not built"
                )
        return func(*args, **(kwargs or {}))
