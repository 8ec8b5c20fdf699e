"""How fast stages start, against a process that imports all the large packages; `make benchmark-startup` runs it.

A run of the pipeline starts some thirty processes, and with few images their imports take most of the time. Each stage
and the peer take turns, so that noise of the machine affects both alike, and the shortest time counts.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import yaml

from latentbench.core import progress

_LARGE = ("torch", "sklearn.base", "scipy.stats", "pandas", "matplotlib.pyplot", "numba", "onnx")
_PEER = f"import {', '.join(_LARGE)}"


def scripts(pipeline: Path) -> list[str]:
    """Return the modules that the stages of a dvc.yaml run, each once, in its order."""
    stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]
    return list(dict.fromkeys(stage["cmd"].split()[2] for stage in stages.values()))


def seconds(statement: str) -> float:
    """Return how long a new Python takes to run a statement and end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each stage: seconds to import it, seconds of the peer, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3, help="timed runs of each, after an untimed one (default: 3)")
    turns = parser.parse_args().turns
    modules = scripts(Path("dvc.yaml"))
    seconds(_PEER)
    ours: dict[str, list[float]] = {module: [] for module in modules}
    peer: list[float] = []
    for turn in progress.bar(range(turns + 1), desc="turns", unit="turn"):
        for module in modules:
            spent = seconds(f"import {module}")
            if turn:  # the first may have to read from disk, and to compile
                ours[module].append(spent)
        if turn:
            peer.append(seconds(_PEER))
    all_of_it = min(peer)
    print(f"{'stage':<28}{'import s':>10}{'peer s':>10}{'ratio':>8}")
    for module, times in ours.items():
        print(f"{module:<28}{min(times):>10.2f}{all_of_it:>10.2f}{min(times) / all_of_it:>8.2f}")


if __name__ == "__main__":
    main()
