"""Errors whose message says all that a user needs to know; a stage prints it without a traceback."""


class LatentbenchError(Exception):
    """The base of every error that a user can cause and mend."""


class InputError(LatentbenchError, ValueError):
    """A method was given numbers or data that it cannot work with."""
