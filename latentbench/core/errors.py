"""Errors whose message says everything that a user needs to know; a stage prints it without a traceback."""

import numpy as np

_BLOCK = 65_536  # rows checked at a time: the values may be a file larger than memory


class LatentbenchError(Exception):
    """The base of every error that a user can cause and fix."""


class InputError(LatentbenchError, ValueError):
    """A method was given numbers or data that it cannot work with."""


def check_finite(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity.

    Args:
        values: (n, ...) of any number type.
        name: what they are, in the plural, for the message.

    Raises:
        InputError: some are not finite; the message says how many of the n rows hold one, and which is the first.
    """
    if values.dtype.kind in "biu":
        return
    rows = np.ones(len(values), dtype=bool)
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        rows[start : start + _BLOCK] = np.isfinite(block).reshape(len(block), -1).all(axis=1)
    if not rows.all():
        n_wrong, first = np.count_nonzero(~rows), rows.argmin()
        raise InputError(f"{name} hold NaN or infinity in {n_wrong} of {len(rows)} rows, first in row {first}")
