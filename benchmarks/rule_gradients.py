"""Which part of a rule's gradient comes from the images that its teacher has wrong.

  python -m kdjax reproduce fashion_mnist-teachers
  python -m benchmarks.rule_gradients [--runs=runs/fashion_mnist-teachers]

Of each teacher and method of that study: the mean length of the gradient of one
sample's loss on the student's logits, over the training images on which the teacher is
right and wrong, and the wrong ones' part of the sum; then how far all of it is from
plain KD's at the same temperature, |g - g_kd| / |g_kd|. The student is that of labels,
seed 0, at its end. No crops. Then, of the class that the teacher has wrong most often,
how many of the test images each student of seed 0 takes for it. docs/evidence.md says
what came out.
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.experiment.data import load_data
from kdjax.experiment.methods import build_method
from kdjax.experiment.teachers import load_teacher
from kdjax.reporting.results import SUMMARY
from kdjax.reproduce import teachers
from kdjax.reproduce.plans import Settings
from kdjax.supervision import signals, supervise
from kdjax.training.evaluator import answers
from kdjax.types import LossInputs, Outputs

METHODS = ("kd", "kd_tau1", "ka_ps", "ka_lsr", "ka_lsr_tau1", "lr_mse", "lr_kl")
METHODS += ("lr_mse_strong", "lr_kl_wrong", "dtd_flsw", "dtd_cwsm", "dtd_wide")


def gradients(method, student, teacher, labels) -> np.ndarray:
    """[n, classes] of each sample's loss on the student's logits."""
    given = signals(student, teacher, labels)
    rules = method.supervisor
    supervision, _ = supervise(rules, rules.temperature.init(), given)

    def total(logits):
        inputs = LossInputs(
            student=Outputs(logits, {}),
            teacher=Outputs(teacher, {}),
            labels=labels,
            supervision=supervision,
            selection=given.selection,
            step=given.step,
        )
        terms = method.terms
        return sum(jnp.sum(t.coefficient * t.values(inputs)) for t in terms)

    return np.asarray(jax.grad(total)(jnp.asarray(student)))


def lengths(answered: np.ndarray, student: np.ndarray, labels: np.ndarray) -> dict:
    """Method -> (mean where the teacher is right, where wrong, part, from KD)."""
    wrong, all_methods = answered.argmax(-1) != labels, teachers.methods()
    facts = {"num_examples": len(labels), "num_classes": answered.shape[-1]}
    of = {}
    for key in METHODS:
        method = build_method(key, all_methods[key], **facts)
        of[key] = gradients(method, student, answered, labels)
    result = {}
    for key, gradient in of.items():
        length = np.linalg.norm(gradient, axis=-1)
        base = of["kd_tau1" if key.endswith("tau1") else "kd"]
        apart = np.linalg.norm(gradient - base) / np.linalg.norm(base)
        part = length[wrong].sum() / length.sum()
        result[key] = length[~wrong].mean(), length[wrong].mean(), part, apart
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default=f"runs/{teachers.NAME}")
    root = pathlib.Path(parser.parse_args().runs)
    reference = teachers.run_name(teachers.REFERENCE, "", 0)
    runs = {run.name: run.config for run in teachers.plan(Settings(), root)}
    section, data = runs[reference]["teacher"], load_data(runs[reference]["data"])
    names, labels = data.train.class_names, data.train.label

    def logits(split, name, student=""):
        given = section | {"workdir": str(root / name), "student": student}
        one = load_teacher(given, data.identity)
        given = (one.network, one.variables, data.augment.evaluate, split)
        return answers(*given, needs_features=False)["logits"]

    own = logits(data.train, reference)
    pulls, taken = [], []
    for teacher in teachers.TEACHERS:
        answered = logits(data.train, teacher)
        for key, (right, wrong, part, apart) in lengths(answered, own, labels).items():
            cells = f"{right:.3f} | {wrong:.3f} | {100 * part:.0f} % | {apart:.2f}"
            pulls.append(f"| {teacher} | {key} | {cells} |")
        is_wrong = answered.argmax(-1) != labels
        shares = [100 * is_wrong[labels == k].mean() for k in range(len(names))]
        worst = int(np.argmax(shares))
        for name, config in runs.items():
            if name.endswith(f"-{teacher}-seed0") and (root / name / SUMMARY).exists():
                for key in config["students"]:
                    count = np.sum(logits(data.test, name, key).argmax(-1) == worst)
                    cells = f"{names[worst]} | {shares[worst]:.0f} % | {count}"
                    taken.append(f"| {teacher} | {key} | {cells} |")
    print("| teacher | method | right | wrong | part of wrong | from kd |")
    print("\n".join(["|---|---|---|---|---|---|", *pulls, ""]))
    print("| teacher | student | class | wrong | test images taken for it |")
    print("\n".join(["|---|---|---|---|---|", *taken]))


if __name__ == "__main__":
    main()
