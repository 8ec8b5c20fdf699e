"""What must be so before a stage imports anything, whoever starts it."""

import os

# A thread that waits for another looks for it in a loop, by default so long that on a busy machine most of the time is
# spent looking (`make benchmark-load`). So many looks, some microseconds, cost nothing on an idle one. OpenMP reads
# this when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
