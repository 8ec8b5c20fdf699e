"""Compiled loops are kept for every copy of the project, by what their file says."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import latentbench

SOURCE = """
from latentbench import compiled

@compiled.loop()
def doubled(number):
    return 2 * number
"""


def compilations(folder: Path, cache: Path, source: str = SOURCE) -> tuple[int, int]:
    """Call a loop of a file in a folder, in a process of its own; return its result and how often it was compiled."""
    folder.mkdir(exist_ok=True)
    (folder / "loops.py").write_text(source, encoding="utf-8")
    program = "import loops; print(loops.doubled(21), sum(loops.doubled.stats.cache_misses.values()))"
    command = ["env", f"PYTHONPATH={folder}", f"XDG_CACHE_HOME={cache}", f"HOME={cache}", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result, misses = done.stdout.split()
    return int(result), int(misses)


@pytest.mark.skipif(sys.platform == "darwin", reason="its cache folder follows no variable")
def test_another_copy_of_a_file_is_not_compiled_again_and_a_changed_one_is(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert compilations(tmp_path / "one", cache) == (42, 1)
    assert compilations(tmp_path / "two", cache) == (42, 0)
    assert compilations(tmp_path / "two", cache, SOURCE.replace("2 *", "3 *")) == (63, 1)
    assert compilations(tmp_path / "one", cache) == (42, 0)
    assert not list((tmp_path / "one").rglob("*.nbi"))


def test_without_a_folder_for_it_a_loop_is_kept_beside_its_file(tmp_path: Path) -> None:
    nowhere = tmp_path / "a file"
    nowhere.touch()
    assert compilations(tmp_path / "one", nowhere) == (42, 1)
    assert compilations(tmp_path / "one", nowhere) == (42, 0)


def test_no_loop_calls_one_of_another_file() -> None:
    """What is kept of the caller would not notice a change of the other."""
    n_checked = 0
    for found in pkgutil.walk_packages(latentbench.__path__, "latentbench."):
        module = importlib.import_module(found.name)
        loops = {name: each for name, each in vars(module).items() if isinstance(each, Dispatcher)}
        n_checked += len(loops)
        assert {name: each.py_func.__module__ for name, each in loops.items()} == dict.fromkeys(loops, found.name)
    assert n_checked > 15
