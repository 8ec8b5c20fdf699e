"""Sizes in params.yaml that a small dataset does not allow: they are cut to what fits, with a message."""

from latentbench.core import progress


def at_most(key: str, wanted: int, most: int, reason: str) -> int:
    """Return a size, or the most that the dataset allows.

    Args:
        key: of the param.
        wanted: its value.
        most: the largest that is possible.
        reason: why, for the message, such as "for 160 train images".
    """
    if wanted <= most:
        return wanted
    progress.note(f"{key}: {wanted} is cut to {most}, the maximum {reason}")
    return most
