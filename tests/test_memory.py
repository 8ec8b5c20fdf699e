"""Memory that is freed stays with the process, so that training steps do not wait for it."""

import subprocess
import sys

import pytest

_MEASURED = """
import resource
import numpy as np
from latentbench import memory

if {kept}:
    memory.keep_freed()
for step in range(50):
    if step == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, kept: bool) -> int:
    command = [sys.executable, "-c", _MEASURED.format(kept=kept)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other C libraries have no such setting")
def test_freed_memory_is_used_again() -> None:
    """Otherwise each of these 45 blocks of 50 MB is new: a page fault for each 4 KB of it, or for each 2 MB."""
    assert 5 * page_faults(kept=True) < page_faults(kept=False)
