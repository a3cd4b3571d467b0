"""Which part of a rule's gradient comes from the images that its teacher has wrong.

  python -m kdjax reproduce fashion_mnist-teachers
  python -m benchmarks.rule_gradients [--runs=runs/fashion_mnist-teachers]

Of each teacher and method of that study: the mean length of the gradient of one
sample's loss on the student's logits, over the training images on which the teacher is
right and wrong, and the wrong ones' part of the sum; then how far all of it is from
plain KD's at the same temperature, |g - g_kd| / |g_kd|. The student is that of labels,
seed 0, at its end. No crops. docs/evidence.md says what came out.
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.experiment.data import load_data
from kdjax.experiment.methods import build_method
from kdjax.experiment.teachers import load_teacher
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default=f"runs/{teachers.NAME}")
    root = pathlib.Path(parser.parse_args().runs)
    config = next(
        run.config
        for run in teachers.plan(Settings(), root)
        if run.name == teachers.run_name(teachers.REFERENCE, "", 0)
    )
    data = load_data(config["data"])

    def logits(name):
        section = config["teacher"] | {"workdir": str(root / name)}
        one = load_teacher(section, data.identity)
        given = (one.network, one.variables, data.augment.evaluate, data.train)
        return answers(*given, needs_features=False)["logits"]

    student, labels = logits(f"{teachers.REFERENCE}-seed0"), data.train.label
    print("| teacher | method | right | wrong | of the sum, from wrong | from kd |")
    print("|---|---|---|---|---|---|")
    for name in filter(lambda name: (root / name).is_dir(), teachers.TEACHERS):
        answered, all_methods = logits(name), teachers.methods()
        wrong = answered.argmax(-1) != labels
        facts = {"num_examples": len(labels), "num_classes": answered.shape[-1]}
        of = {
            key: gradients(
                build_method(key, all_methods[key], **facts), student, answered, labels
            )
            for key in METHODS
        }
        for key, gradient in of.items():
            length = np.linalg.norm(gradient, axis=-1)
            right, of_wrong = length[~wrong].mean(), length[wrong].mean()
            share = 100 * length[wrong].sum() / length.sum()
            base = of["kd_tau1" if key.endswith("tau1") else "kd"]
            apart = np.linalg.norm(gradient - base) / np.linalg.norm(base)
            cells = f"{right:.3f} | {of_wrong:.3f} | {share:.0f} % | {apart:.2f}"
            print(f"| {name} | {key} | {cells} |")


if __name__ == "__main__":
    main()
