"""What a batch's folder says of itself: what is done, what failed and why, what is waiting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomask.batch.places import Places
from geomask.batch.record import BEGUN, Record, read_records
from geomask.batch.run import read_scenes
from geomask.errors import BatchError


@dataclass(frozen=True)
class Status:
    """The state of a folder. records: of what is done or failed. waiting: the other scenes, by
    name."""

    folder: str
    records: tuple[Record, ...]
    waiting: dict[str, str]

    @property
    def done(self) -> tuple[Record, ...]:
        """Records of what is complete."""
        return tuple(record for record in self.records if record.done)

    @property
    def failed(self) -> tuple[Record, ...]:
        """Records of what is quarantined."""
        return tuple(record for record in self.records if not record.done)

    def to_json(self) -> dict[str, Any]:
        """Counts, and what failed and why."""
        return {
            "folder": self.folder,
            "done": len(self.done),
            "waiting": sorted(self.waiting),
            "failed": [record.why_failed() for record in self.failed],
            "seconds": sum(record.seconds.get("total", 0.0) for record in self.done),
        }


def batch_status(folder: str | Path) -> Status:
    """The state of a batch's output folder. Raises BatchError where it is none."""
    places = Places(Path(folder).absolute())
    if not places.records.is_dir():
        raise BatchError(f"{folder}: is no folder that geomask batch has written to")
    records = tuple(record for record in read_records(places) if record.status != BEGUN)
    known = {record.name for record in records}
    asked = read_scenes(places)
    return Status(
        str(places.root),
        records,
        {name: scene for name, scene in asked.items() if name not in known},
    )
