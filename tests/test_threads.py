"""The number of threads that is asked for is the number in use, whatever is loaded after."""

import subprocess
import sys

PROGRAM = """
import torch
from latentbench import compiled, threads
threads.use(1)
assert compiled.use_threads() == 1
print(torch.get_num_threads(), compiled.use_threads())
"""


def test_compiled_loops_leave_torch_its_threads() -> None:
    # In a process of its own: Numba starts its threads once.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
