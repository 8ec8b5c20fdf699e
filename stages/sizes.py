"""Sizes in params.yaml that a small dataset does not allow: they are cut to what fits, and that is said."""

from latentbench.core import progress


def at_most(key: str, wanted: int, most: int, reason: str) -> int:
    """Return a size, or the most that the dataset allows.

    Args:
        key: of the param.
        wanted: its value.
        most: that there can be.
        reason: why, for the line that says so, such as "of 160 train images".
    """
    if wanted <= most:
        return wanted
    progress.note(f"{key}: {wanted} is cut to {most}, the most {reason}")
    return most
