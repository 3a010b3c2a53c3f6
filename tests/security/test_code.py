"""What the package's own code never does, by its syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import geomask

ROOT = Path(geomask.__file__).parent

FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

BETWEEN_PROCESSES = {"batch/local.py", "batch/ray.py"}
"""Where `pickle` carries work from a process to those that it started, never to or from a file."""

FORBIDDEN = (
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"),
    *("pickle.load", "pickle.Unpickler", "joblib.load", "shelve.open", "marshal.load"),
    *("torch.hub.load", "torch.jit.load", "np.fromregex", "tempfile.mktemp"),
)
"""Calls that run what they are given, or what a file says."""

MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"),
    *("xml.sax", "xml.dom", "xml.dom.minidom", "lxml", "telnetlib", "ftplib"),
}
"""Modules that are not imported, but for those that `ALLOWED` names."""

ALLOWED = {
    **{("pickle", name): "messages between processes" for name in BETWEEN_PROCESSES},
    ("pickle", "training/run_folder.py"): "the error that torch.load(weights_only=True) raises",
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name, call) of every call by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def problems(source: str, file: str) -> list[str]:
    """What is forbidden in a file."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found.append(node.module)
    found = [name for name in found if (name, file) not in ALLOWED]
    for name, call in calls(tree):
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        if name in FORBIDDEN or (name == "pickle.loads" and file not in BETWEEN_PROCESSES):
            found.append(name)
        if (
            name in ("torch.load", "load_from_checkpoint")
            and keywords.get("weights_only") != "True"
        ):
            found.append(name)
        if name.endswith("load_from_checkpoint"):
            found.append(name)
        for keyword in ("shell", "allow_pickle"):
            if keywords.get(keyword, "False") != "False":
                found.append(f"{name}({keyword}=…)")
        if name in ("ET.fromstring", "ET.XML", "ET.iterparse"):
            found.append(name)
    return found


@pytest.mark.parametrize("file", FILES)
def test_no_code_runs_what_a_file_says(file: str) -> None:
    assert problems((ROOT / file).read_text("utf-8"), file) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "eval(text)",
        "exec(text)",
        "os.system(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "pickle.loads(data)",
        "ET.fromstring(data)",
        "Module.load_from_checkpoint(path)",
    ],
)
def test_each_of_these_would_be_found(source: str) -> None:
    assert problems(source, "scene/safe.py")


def test_what_is_allowed_is_still_there() -> None:
    """An entry that nothing needs any more would let something else through."""
    for module, file in ALLOWED:
        assert f"import {module}" in (ROOT / file).read_text("utf-8"), file


def test_only_defusedxml_parses_what_strangers_wrote() -> None:
    """The standard library's parser is given one file: what GDAL itself wrote a moment before."""
    parsing = [
        file for file in FILES if "ET.parse(" in (ROOT / file).read_text("utf-8")
    ]  # fmt: skip
    assert parsing == ["raster_writer.py"]


def test_pages_have_one_way_from_text_to_html() -> None:
    """`pages.markup` escapes whatever is not `Html`; elsewhere that is made of constants, and of
    the viewer's own script (what files say is tried in tests/report and tests/view)."""
    made = {
        (file, ast.unparse(call.args[0]))
        for file in FILES
        for name, call in calls(ast.parse((ROOT / file).read_text("utf-8")))
        if name == "Html" and not isinstance(call.args[0], ast.Constant) and file != MARKUP
    }
    assert made == {("view/page.py", "script"), ("pages/__init__.py", "base")}


MARKUP = "pages/markup.py"
