"""Nothing in the project writes or reads files that can run code: the linter and a walk over the tree hold it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("latentbench", "stages", "tools", "benchmarks", "tests")
BANNED_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
BANNED_CALLS = {"torch.load", "torch.save", "np.load", "pd.read_pickle", "to_pickle", "yaml.load", "yaml.unsafe_load"}
BANNED_NAMES = {"load", "save", "savez", "savez_compressed"}  # of NumPy: they can pickle, and are called in full
HOSTILE = {"fuzzing.py", "test_hostile_artifacts.py", "test_artifacts.py"}  # these make such files, to see them refused
APART = {"keras_peer.py"}  # it runs where the project is not installed


def problems(text: str, *, tested: bool = False) -> Iterator[str]:
    """Yield what a source file does that may read or write code in a file of data."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in BANNED_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in BANNED_MODULES:
                yield node.module
            yield from (alias.name for alias in node.names if f"{node.module}.{alias.name}" in BANNED_CALLS)
            if node.module == "numpy":
                yield from (alias.name for alias in node.names if alias.name in BANNED_NAMES)
        elif isinstance(node, ast.Call):
            called = re.sub(r"^numpy\.", "np.", ast.unparse(node.func))
            if called in BANNED_CALLS or called.rpartition(".")[2] in BANNED_CALLS:
                yield called
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get("allow_pickle", "False") != "False" or given.get("weights_only", "True") != "True":
                yield ast.unparse(node)
            # Of these the default is to pickle.
            if called in ("np.save", "np.savez", "np.savez_compressed") and not tested and "allow_pickle" not in given:
                yield ast.unparse(node)


def test_nothing_in_the_tree_pickles(root: Path) -> None:
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*.py") if path.name not in HOSTILE | APART]
    assert len(files) > 150
    found = {
        path.relative_to(root).as_posix(): list(
            problems(path.read_text(encoding="utf-8"), tested=path.is_relative_to(root / "tests"))
        )
        for path in files
    }
    assert {name: what for name, what in found.items() if what} == {}


PICKLING = [
    "import pickle\npickle.loads(b'')",
    "from joblib import load",
    "import torch\ntorch.load('x')",
    "from torch import load",
    "import pandas as pd\npd.read_pickle('x')",
    "import numpy as np\nnp.load('x', None, True)",
    "import numpy\nnumpy.load('x')",
    "from numpy import load",
]
PICKLING_BY_OPTION = [
    "import numpy as np\nallow = True\nnp.savez('x', allow_pickle=allow)",
    "import numpy as np\nnp.save('x', np.ones(3))",
    "import numpy\nnumpy.save('x', numpy.ones(3))",
    "from numpy import save",
    "import yaml\nyaml.load('x', yaml.Loader)",
]


@pytest.mark.parametrize("text", [*PICKLING, *PICKLING_BY_OPTION])
def test_what_pickles_is_found(text: str) -> None:
    assert list(problems(text))


@pytest.mark.parametrize("text", PICKLING)
def test_the_linter_finds_it_as_well(root: Path, text: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "latentbench/new.py", "-"]
    done = subprocess.run(command, cwd=root, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TID251" in done.stdout
