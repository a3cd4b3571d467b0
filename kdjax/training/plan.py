"""When a training logs, evaluates, saves and stops, in steps."""

import dataclasses
import itertools
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """When things happen, in steps."""

    total_steps: int
    log_every: int
    evaluate_every: float  # not whole where the batch does not divide the data set
    save_every: int = 0  # beside each evaluation; 0: not by steps
    save_minutes: float = 0.0  # the same by the clock, where rows are logged
    stop_at_train_top1: float = 0.0  # percent, of every student; 0 never stops early
    max_skipped_share: float = 1.0  # of the steps of a student; see `guards`

    def evaluates_at(self, done: int) -> bool:
        """True at the first step that completes a period, and at the last step."""
        periods = math.floor(done / self.evaluate_every)
        before = math.floor((done - 1) / self.evaluate_every)
        return done == self.total_steps or periods > before

    def saves_at(self, done: int) -> bool:
        """True at each multiple of `save_every`."""
        return bool(self.save_every) and done % self.save_every == 0

    def logs_at(self, done: int) -> bool:
        """True at each multiple of `log_every`, and at the last step."""
        return done == self.total_steps or done % self.log_every == 0

    def next_event(self, done: int) -> int:
        """The first step after `done` of which something is reported or saved."""
        log = (done // self.log_every + 1) * self.log_every
        periods = math.floor(done / self.evaluate_every) + 1
        # Rounding may put the product a step off; `evaluates_at` decides.
        near = max(done + 1, math.ceil(periods * self.evaluate_every) - 1)
        evaluate = next(n for n in itertools.count(near) if self.evaluates_at(n))
        every = self.save_every or self.total_steps
        save = (done // every + 1) * every
        return min(log, evaluate, save, self.total_steps)

    def is_enough(self, results: dict[str, dict[str, float]] | None) -> bool:
        """True where an evaluation says that every student has learnt enough."""
        enough = self.stop_at_train_top1
        if not enough or not results:
            return False
        return all(row["train_top1"] >= enough for row in results.values())
