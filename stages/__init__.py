"""What must be set before a stage imports anything, however it is started."""

import os

# A thread that waits for another spins in a loop, by default for so long that a busy machine spends most of its time
# spinning (`make benchmark-load`). With this many spins, some microseconds, steps take as long as by default on an idle
# one; with a third of them, up to a quarter longer. OpenMP reads this when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
