"""The error of this floor; apart, so that catching it imports nothing heavy."""

from kdjax.contracts import InputError


class DataError(InputError):
    """A data set is missing, damaged or of the wrong form; says what to do."""
