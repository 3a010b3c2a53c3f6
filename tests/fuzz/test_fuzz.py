"""Whatever a file says, it is parsed to something that holds, or refused in one line."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import EXAMPLES, SHORT, Target, fuzz
from tests.fuzz.targets import NAMES, all_targets


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return {target.name: target for target in all_targets(tmp_path_factory.mktemp("fuzz"))}


def test_every_target_is_named(targets: dict[str, Target]) -> None:
    assert tuple(targets) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_parsed_or_refused_in_one_line(
    targets: dict[str, Target], name: str
) -> None:
    fuzz(targets[name], SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_so_are_very_many(targets: dict[str, Target], name: str) -> None:
    fuzz(targets[name], EXAMPLES)
