"""The count of images that cannot be read."""

import threading

from kdjax.data.split import DataError

TRAINING = "Prepare the set anew, or allow more with config.data.skip_at_most."


class SkippedImages:
    """Counts images that cannot be read, each of them once. Any thread may add.

    `limit`, >= 0, are allowed; `advice` ends the error of one too many. `errors` has
    where an image lies -> what is wrong with it; `warnings` the same of images that are
    kept though the decoder complained.
    """

    def __init__(self, limit: int, advice: str = TRAINING):
        if limit < 0:
            raise ValueError(f"SkippedImages: limit is {limit}; expected 0 or more.")
        self.limit, self.advice, self.errors, self.warnings = limit, advice, {}, {}
        self._lock = threading.Lock()

    def add(self, name: str, error: str) -> None:
        """Counts one; raises DataError if it is one too many."""
        with self._lock:
            if name in self.errors or len(self.errors) < self.limit:
                self.errors[name] = error
                return
        raise DataError(
            f"{name}: this image cannot be read ({error}), and {self.limit} others "
            f"could not before; expected {self.limit} at most. {self.advice}"
        )

    def warn(self, name: str, warning: str) -> None:
        """Records one that is kept, unless the warning is empty."""
        if warning:
            with self._lock:
                self.warnings[name] = warning
