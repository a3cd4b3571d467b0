"""A loop whose steps compute nothing, and what happens in it."""

import numpy as np

from kdjax.training.loop import NonFinite, Preempted, run


class Recorder:
    """Checkpointer and reporter in one: records what happens, in order."""

    def __init__(self):
        self.events, self.seconds, self.progress = [], 0.0, None

    def train(self, step, metrics, timing):
        self.events.append(("train", step, metrics["s"]["loss"]))
        assert timing["images_per_second"] > 0

    def evaluation(self, step, metrics):
        self.events.append(("evaluation", step))

    def flush(self): ...

    def save(self, step, states, metrics, beside):
        self.progress = beside["progress"]
        self.events.append(("save", step, metrics is not None))

    def wait(self):
        self.events.append(("wait",))


def drive(
    plan,
    start=0,
    bad=(),
    at_step=lambda number: None,
    most=1,
    **more,
):
    recorder = Recorder()

    class Steps:
        """`most` at a time, as an accelerator makes them; metrics beyond are noise."""

        def ready(self, number, allowed):
            return min(allowed, most), f"rows of {number}"

        def run(self, states, number, count, rows):
            assert rows == f"rows of {number}"
            numbers = range(number, number + count)
            for each in numbers:
                at_step(each)
            losses = [float(each) for each in numbers] + [-1e9] * (most - count)
            codes = [float(each in bad) for each in numbers] + [1.0] * (most - count)
            row = {"loss": np.array(losses), "skipped": np.array(codes)}
            one = {key: value[0] for key, value in row.items()}
            return states + count, {"s": one if most == 1 else row}

    def evaluate(states):
        return {"s": {"top1": 0.0}}

    keep = {"checkpointer": recorder, "reporter": recorder, "images_per_step": 4}
    keep |= {"start": start, "steps": Steps(), "evaluate": evaluate}
    try:
        states = run(plan, start, **(keep | more))
    except (NonFinite, Preempted) as error:
        error.recorder = recorder
        return error, recorder.events
    return states, recorder.events
