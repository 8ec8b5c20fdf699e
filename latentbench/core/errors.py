"""Errors whose message says all that a user needs to know; a stage prints it without a traceback."""

import numpy as np


class LatentbenchError(Exception):
    """The base of every error that a user can cause and mend."""


class InputError(LatentbenchError, ValueError):
    """A method was given numbers or data that it cannot work with."""


def check_finite(values: np.ndarray, name: str) -> None:
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
