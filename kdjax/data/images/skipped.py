"""The count of pictures that cannot be read."""

import threading

from kdjax.data.errors import DataError

TRAINING = "Prepare the set anew, or allow more with config.data.skip_at_most."


class Skipped:
    """Counts the pictures that cannot be read, each of them once. Any thread may add.

    Attributes:
      limit: how many are put up with, >= 0.
      found: where it lies -> what is wrong with it.
      doubtful: the same of pictures that are kept though the decoder complained.
    """

    def __init__(self, limit: int, advice: str = TRAINING):
        """Counts from zero; `advice` ends the error of one too many."""
        if limit < 0:
            raise ValueError(f"Skipped: limit is {limit}; expected 0 or more.")
        self.limit, self.advice, self.found, self.doubtful = limit, advice, {}, {}
        self._lock = threading.Lock()

    def add(self, name: str, why: str) -> None:
        """Counts one.

        Raises:
          DataError: it is one too many.
        """
        with self._lock:
            if name in self.found or len(self.found) < self.limit:
                self.found[name] = why
                return
        raise DataError(
            f"{name}: this picture cannot be read ({why}), and {self.limit} others "
            f"could not before; expected {self.limit} at most. {self.advice}"
        )

    def doubt(self, name: str, complaint: str) -> None:
        """Notes one that is kept, unless there is no complaint."""
        if complaint:
            with self._lock:
                self.doubtful[name] = complaint
