"""A pipeline whose five runs of stages write a line of text each, in a repository of its own: quick for the engine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

# python step.py NAME OUT KEYS... -- INPUTS...
STEP = """
import os, pathlib, signal, sys, time

import psutil
import yaml

name, out, *rest = sys.argv[1:]
keys, inputs = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
told = " ".join([name, *(f"{key}={params[key]}" for key in keys)])
notes = pathlib.Path(os.environ["CHAIN_NOTES"])
with (notes / "ran").open("a") as file:
    file.write(told + "\\n")
if name in params["meet"]:  # goes on when all others that meet are there too
    (notes / f"met-{name}").touch()
    until = time.monotonic() + 300
    while not all((notes / f"met-{other}").exists() for other in params["meet"]) and time.monotonic() < until:
        time.sleep(0.01)
if (notes / f"kill-{name}").exists():  # the worker, once
    (notes / f"kill-{name}").unlink()
    next(each for each in psutil.Process().parents() if "spawn_main" in " ".join(each.cmdline())).kill()
    sys.exit(1)
if (notes / f"fail-{name}").exists():
    sys.exit(f"{name}: no luck")
time.sleep(params["seconds"])
pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(out).write_text(told + "".join(f" ({pathlib.Path(path).read_text()})" for path in inputs))
"""
PARAMS = {"threads": 1, "dim": 1, "beta": 1.0, "meet": [], "seconds": 0.0, "rows": {"row": ["a", "b"]}}
PIPELINE = {
    "base": {"cmd": "python step.py base data/base --", "deps": ["step.py"], "outs": ["data/base"]},
    "row": {
        "matrix": {"row": "${rows.row}"},
        "cmd": "python step.py ${item.row} data/rows/${item.row} dim -- data/base",
        "params": ["dim", "meet"],
        "deps": ["step.py", "data/base"],
        "outs": ["data/rows/${item.row}"],
    },
    "other": {
        "cmd": "python step.py other data/other beta -- data/base",
        "params": ["beta"],
        "deps": ["step.py", "data/base"],
        "outs": ["data/other"],
    },
    "join": {
        "cmd": "python step.py join metrics/join.txt -- data/rows/a data/rows/b data/other",
        "deps": ["step.py", "data/rows", "data/other"],
        "plots": [{"metrics/join.txt": {"cache": False}}],
    },
}


class Chain:
    """The pipeline in a folder, with notes beside it of what ran.

    Args:
        folder: that is made.
        root: of the project, whose tools run in it.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.notes, self._root = folder, folder.with_name(f"{folder.name}-notes"), root
        folder.mkdir()
        self.notes.mkdir()
        (folder / "step.py").write_text(STEP, encoding="utf-8")
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": PIPELINE}, sort_keys=False), encoding="utf-8")
        (folder / ".gitignore").write_text("/data\n__pycache__/\n", encoding="utf-8")
        self.set_params()
        self.run("git", "init", "--quiet", "--initial-branch", "main")
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@example.org")
        (folder / ".dvc").mkdir()
        shutil.copyfile(root / ".dvc/config", folder / ".dvc/config")
        (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
        self.commit()

    def set_params(self, **changes: object) -> None:
        """Write params.yaml as it was first, with changes."""
        text = yaml.safe_dump(PARAMS | changes, sort_keys=False)
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", "as it is")

    def environment(self) -> dict[str, str]:
        """Return the environment that commands run in."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        modules = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(self._root)]))
        return {**os.environ, "PATH": path, "PYTHONPATH": modules, "CHAIN_NOTES": str(self.notes)}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; its output is kept as text."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False, timeout=1800
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done

    def ran(self) -> list[str]:
        """Return what ran since this was asked last, in no order."""
        path = self.notes / "ran"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(lines)

    def content(self, revision: str) -> str:
        """Return what git keeps of a revision: its files with the hashes of their content."""
        return self.run("git", "ls-tree", "-r", revision).stdout
