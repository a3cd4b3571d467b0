"""When skipped steps are too many: counted over all starts of a run."""

import copy
from collections.abc import Callable

from kdjax.training.loop import NonFinite
from kdjax.training.plan import Plan
from kdjax.training.update import REASONS

PATIENCE = 10  # skipped steps in a row before a run is given up
WHAT = {
    "loss": "the loss of {name} was not finite",
    "gradient": "the gradient of {name} was not finite",
    "update": "the update of {name} was not finite",
    "loss_spike": "the loss of {name} was above config.guards.loss_spike times its "
    "mean",
    "teacher": "what {name} reads of its teacher was not finite",
}
ADVICE = (
    "Lower config.schedule.learning_rate, set config.optimizer.clip_norm or look at "
    "the teacher's logits."
)
OF_TEACHER = (
    "Look at the teacher that config.teacher names, and at its input: "
    "`python -m kdjax evaluate` scores it."
)


def count(
    counts: dict,
    window: list[dict],
    done: int,
    plan: Plan,
    record: Callable[[int, dict[str, str]], str],
) -> dict:
    """The counts with those of a window that ends after step `done`.

    They are name -> {"steps", "in_a_row", "reasons": {reason: steps}}, as JSON holds
    them, of students that skipped a step. `record` is called for each such step, from
    1, with name -> reason; it returns the name of the file that lists them.

    Raises:
      NonFinite: PATIENCE steps of a student in a row, or more than `most_skipped`.
    """
    counts = copy.deepcopy(counts)
    for step, metrics in enumerate(window, done - len(window) + 1):
        codes = {name: int(row["skipped"]) for name, row in metrics.items()}
        reasons = {name: REASONS[code] for name, code in codes.items() if code}
        for name in counts.keys() - reasons.keys():
            counts[name]["in_a_row"] = 0
        where = record(step, reasons) if reasons else ""
        for name, reason in reasons.items():
            row = counts.setdefault(name, {"steps": 0, "in_a_row": 0, "reasons": {}})
            row["steps"] += 1
            row["in_a_row"] += 1
            row["reasons"][reason] = row["reasons"].get(reason, 0) + 1
            _check(name, row, step, plan, where)
    return counts


def most_skipped(plan: Plan) -> float:
    """The most steps that a student may skip: the plan's share of them.

    In a run that is short, PATIENCE of them, or half of all: a bad batch or two of few
    are not yet a run that failed.
    """
    total = plan.total_steps
    return max(plan.max_skipped_share * total, min(PATIENCE, total / 2))


def sentence(name: str, row: dict, total: int) -> str:
    """The end of a run: how many of a student's steps were skipped, and why."""
    reasons = ", ".join(f"{reason} {n}" for reason, n in row["reasons"].items())
    share = 100 * row["steps"] / total
    return f"{name} skipped {row['steps']} of {total} steps ({share:.2g} %): {reasons}"


def _check(name: str, row: dict, step: int, plan: Plan, where: str) -> None:
    if row["in_a_row"] >= PATIENCE:
        which = f" in steps {step - PATIENCE + 1} to {step}"
    elif row["steps"] > most_skipped(plan):
        which = (
            f" in {row['steps']} of {plan.total_steps} steps by step {step}, and "
            f"config.guards.max_skipped_share is {plan.max_skipped_share:g}"
        )
    else:
        return
    what = ", or ".join(WHAT[reason].format(name=name) for reason in row["reasons"])
    advice = OF_TEACHER if set(row["reasons"]) == {"teacher"} else ADVICE
    listed = f" Their samples are listed in {where}." if where else ""
    raise NonFinite(
        f"train: {what}{which}. Those updates were skipped.{listed} {advice} "
        "Checkpoints saved before are good.",
        student=name,
    )
