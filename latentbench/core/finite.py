"""The check that numbers are finite: NaN would end in a foreign error, or in a wrong score."""

import numpy as np

from latentbench.core.errors import InputError


def check(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity.

    Args:
        values: (n, ...) of any number type.
        name: what they are, in the plural, for the message.

    Raises:
        InputError: some are not finite; tells how many of the n rows hold one, and which is the first.
    """
    rows = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not rows.all():
        n_wrong, first = np.count_nonzero(~rows), rows.argmin()
        raise InputError(f"{name} hold NaN or infinity in {n_wrong} of {len(rows)} rows, first in row {first}")
