"""The card: what a model file says of itself. Read without torch, so listing models is quick."""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from geomask.classes import ClassTable, MaskClass
from geomask.errors import ModelError

CARD_KEY = "geomask_card"
"""Key of the card's JSON in the safetensors header's `__metadata__`."""

MAX_HEADER_BYTES = 8 * 2**20
"""A header longer than this is no model of ours; ours have well under 100 kB."""

SMALLEST, LARGEST = 1e-6, 1e6
"""Numbers that a card's lie between: float32 divides by and multiplies with them, and reflectances
and pixel sizes in metres are far within."""

BAND_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$"


class _Record(BaseModel):
    """Frozen, and a field that is not known is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Normalisation(_Record):
    """Reflectance to network input: clip, scale to 0-1 over the clip, quantise, bend, standardise.

    t = (clip(reflectance) - clip[0]) / (clip[1] - clip[0]), then t = round(t * (levels - 1)) /
    (levels - 1) where levels is given, then t = log(1 + t / knee) / log(1 + 1 / knee) where knee
    is, then (t - mean) / std per band. Far above the knee what counts is the ratio of reflectances,
    so that a shadow is as much darker than its ground on dark ground as it is on bright.
    """

    clip: tuple[float, float] = (0.0, 1.0)
    levels: int | None = Field(default=None, ge=2, le=65536)
    knee: float | None = Field(default=None, ge=1e-4, le=10)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not SMALLEST <= self.clip[1] - self.clip[0] <= LARGEST:
            raise ValueError(f"clip {self.clip} is not (low, high)")
        if len(self.mean) != len(self.std):
            raise ValueError("mean and std are one number per band")
        if any(abs(value) > LARGEST for value in (*self.mean, *self.std, *self.clip)):
            raise ValueError(f"mean, std or clip is beyond {LARGEST:g}")
        if any(value < SMALLEST for value in self.std):
            raise ValueError(f"std is below {SMALLEST:g}")
        return self


class NetworkSpec(_Record):
    """What `network.build_network` needs to know.

    architecture: a segmentation_models_pytorch architecture, or "plain-unet". encoder: an smp
    encoder name (none for plain-unet). options: further keyword arguments of the architecture.
    """

    architecture: str = Field(pattern=r"^[A-Za-z0-9_+-]{1,40}$")
    encoder: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.+-]{1,60}$")
    options: dict[str, int | float | bool | str | list[int] | None] = Field(default_factory=dict)


class ClassEntry(_Record):
    """One class, in the order of the network's output channels."""

    code: int = Field(ge=0, le=254)
    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")
    color: tuple[int, int, int]


class Card(_Record):
    """What a model file says of itself.

    bands: common names in input order. band_sets: the sets a scene may offer, best first; bands
    outside the set in use are given to the network as absent. resolution: the pixel sizes in
    metres, (finest, coarsest), it was trained for; a scene outside is resampled for inference.
    stride: patch origins and sizes are multiples of it. margin: pixels around a patch's core
    that are predicted and thrown away. seam_fraction: measured share of pixels that differ from
    whole-image inference at that margin (`training.seams`). temperature: logits are divided by
    it for confidence.
    """

    format: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$")
    description: str = ""
    network: NetworkSpec
    bands: tuple[Annotated[str, Field(pattern=BAND_NAME)], ...] = Field(min_length=1)
    band_sets: tuple[tuple[str, ...], ...] = ()
    normalisation: Normalisation
    classes: tuple[ClassEntry, ...] = Field(min_length=2)
    resolution: tuple[float, float]
    stride: int = Field(ge=1, le=256)
    margin: int = Field(ge=0, le=1024)
    seam_fraction: float | None = None
    temperature: float = Field(default=1.0, ge=SMALLEST, le=LARGEST)
    licence: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)

    @field_validator("provenance", "metrics")
    @classmethod
    def _as_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What is free to say holds no NaN, as JSON holds none: it is null there."""
        return {key: _finite(item) for key, item in value.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.normalisation.mean) != len(self.bands):
            raise ValueError(
                f"normalisation is for {len(self.normalisation.mean)} bands, "
                f"the card names {len(self.bands)}"
            )
        if len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands repeat: {self.bands}")
        for bands in self.band_sets:
            if not bands or not set(bands) <= set(self.bands):
                raise ValueError(f"band set {bands} is not part of {self.bands}")
        if not SMALLEST <= self.resolution[0] <= self.resolution[1] <= LARGEST:
            raise ValueError(f"resolution {self.resolution} is not (finest, coarsest) in metres")
        _ = self.class_table
        return self

    @property
    def class_table(self) -> ClassTable:
        """The classes as every other room knows them."""
        return ClassTable(tuple(MaskClass(c.code, c.name, c.color) for c in self.classes))

    @property
    def training_groups(self) -> frozenset[str] | None:
        """Groups of chips that the model was trained on; None where its provenance names none."""
        named = self.provenance.get("training_groups")
        return frozenset(map(str, named)) if isinstance(named, list | tuple) else None

    def choose_bands(self, available: tuple[str, ...]) -> tuple[str, ...] | None:
        """The first of `band_sets` that lies within `available`, in input order, or None."""
        for bands in self.band_sets or (self.bands,):
            if set(bands) <= set(available):
                return tuple(band for band in self.bands if band in bands)
        return None


def _finite(value: Any) -> Any:
    """The same with None for each number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def card_to_text(card: Card) -> str:
    """The card as JSON, for a file's header."""
    return card.model_dump_json()


def read_card(path: str | Path) -> Card:
    """The card in the header of a model file; no weights are read, and nothing is run.

    Raises ModelError where the file is missing, truncated, a pickle, or has no valid card.
    """
    text = _read_header(Path(path)).get("__metadata__", {}).get(CARD_KEY)
    if not isinstance(text, str):
        raise ModelError(
            f"{path}: a safetensors file without a geomask card; "
            "make model files with `geomask train` or `geomask.save_model`"
        )
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise ModelError(f"{path}: its card is not valid: {where}: {first['msg']}") from error


def _read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file: 8 bytes of length, little-endian, then the text."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04"):
                raise ModelError(
                    f"{path}: is a pickle (.pt/.pth), which can run code when it is "
                    "opened; geomask loads safetensors files only"
                )
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= MAX_HEADER_BYTES:
                raise ModelError(f"{path}: is not a geomask model (no safetensors header)")
            text = file.read(length)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        header = json.loads(text) if len(text) == length else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ModelError(f"{path}: is not a geomask model, or is cut short (damaged header)")
    whole = len(start) + length + _weight_bytes(header)
    if size != whole:
        raise ModelError(
            f"{path}: is cut short or damaged: {size} bytes, where its header speaks of {whole}; "
            "copy or download it again"
        )
    return header


def _weight_bytes(header: dict[str, Any]) -> int:
    """Bytes after the header, which says of each tensor where it begins and ends; 0 where that is
    not what it says."""
    ends = [0]
    for key, tensor in header.items():
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if key != "__metadata__" and isinstance(offsets, list) and len(offsets) == 2:
            ends += [end for end in offsets if isinstance(end, int)]
    return max(ends)
