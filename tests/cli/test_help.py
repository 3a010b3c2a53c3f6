"""Help in groups, and completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from geomask.cli import cli
from geomask.cli.grouped import GroupedCommand


def grouped(groups: dict[str, tuple[str, ...]]) -> click.Command:
    @click.command(cls=GroupedCommand, groups=groups)
    @click.option("--out", help="The mask.")
    @click.option("--scale", help="Of numbers.")
    @click.option("--secret", hidden=True)
    def command(out: str, scale: str, secret: str) -> None:
        """Help."""

    return command


def test_options_are_shown_under_their_headings() -> None:
    lines = CliRunner().invoke(grouped({"Scene": ("scale",)}), ["--help"]).output.splitlines()
    scene, rest = lines.index("Scene:"), lines.index("Options:")
    assert "--scale" in lines[scene + 1]
    assert scene < rest
    assert [line.split()[0] for line in lines[rest + 1 :]] == ["--out", "--help"]


def test_a_group_of_options_that_are_not_there_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no such options: scales"):
        grouped({"Scene": ("scales",)})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("bash is not here")
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert "_GEOMASK_COMPLETE" in result.output


def test_the_script_leads_to_what_completes() -> None:
    environment = os.environ | {
        "_GEOMASK_COMPLETE": "bash_complete",
        "COMP_WORDS": "geomask pre",
        "COMP_CWORD": "1",
    }
    code = "import sys; sys.argv[0] = 'geomask'; from geomask.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == ["plain,predict"]
