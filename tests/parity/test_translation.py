"""docs/translate.md: the same weights give the same objective, beside the libraries.

timm's task and torchdistill's KDLoss are called as they are; of RepDistiller and
mdistiller, which are no packages, the page's formula stands for them.
"""

import numpy as np
import pytest

from kdjax.methods import kd
from tests.methods import given
from tests.parity.test_models import timm  # noqa: F401

pytestmark = pytest.mark.parity

BATCH, TAU = 6, 4.0
LABELS = np.array([0, 3, 1, 4, 2, 2])


def networks():
    rng = np.random.default_rng(0)
    return given.outputs(rng, BATCH), given.outputs(rng, BATCH)


def ours(**arguments) -> float:
    """The objective of the method `kd`."""
    method = kd.build(**arguments)
    inputs = given.loss_inputs(method, *networks(), LABELS)
    return sum(given.terms(method, inputs).values())


def tensors():
    torch = pytest.importorskip("torch")
    student, teacher = networks()
    logits = (torch.from_numpy(np.float64(one.logits)) for one in (student, teacher))
    return *logits, torch.from_numpy(LABELS)


def softened(weight_of_labels: float, weight_of_teacher: float) -> float:
    """R CE + A T^2 KL, sums over classes, means over the batch."""
    from torch.nn import functional

    student, teacher, labels = tensors()
    hard = functional.cross_entropy(student, labels)
    p, log_q = (teacher / TAU).softmax(-1), (student / TAU).log_softmax(-1)
    soft = functional.kl_div(log_q, p, reduction="batchmean")
    return float(weight_of_labels * hard + weight_of_teacher * TAU**2 * soft)


@pytest.mark.parametrize("labels, teacher", [(0.1, 0.9), (0.5, 0.5), (1.0, 0.5)])
def test_weights_of_repdistiller_and_mdistiller(labels, teacher):
    both = labels + teacher
    value = both * ours(alpha=teacher / both, temperature=TAU)
    assert value == pytest.approx(softened(labels, teacher), rel=1e-5)


def test_alpha_of_torchdistill_weighs_the_labels():
    mid_level = pytest.importorskip("torchdistill.losses.mid_level")
    student, teacher, labels = tensors()

    def theirs(alpha):
        places = {f"{who}_module_path": "x" for who in ("student", "teacher")}
        places |= {f"{who}_module_io": "output" for who in ("student", "teacher")}
        loss = mid_level.KDLoss(**places, temperature=TAU, alpha=alpha)
        outputs = ({"x": {"output": one}} for one in (student, teacher))
        return float(loss(*outputs, labels))

    assert theirs(0.3) == pytest.approx(ours(alpha=0.7, temperature=TAU), rel=1e-5)
    # At 0 it leaves the squared temperature out.
    assert theirs(0.0) * TAU**2 == pytest.approx(
        ours(alpha=1.0, temperature=TAU), rel=1e-5
    )


def test_task_loss_weight_of_timm(timm):  # noqa: F811
    import torch
    from timm.task import LogitDistillationTask

    student, teacher, labels = tensors()

    class Says(torch.nn.Module):
        """A network whose logits are given."""

        pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
        num_classes, in_chans = given.CLASSES, 3

        def __init__(self, logits):
            super().__init__()
            self.register_buffer("logits", logits)

        def forward(self, images):
            return self.logits

    pair = Says(student), Says(teacher)
    how = {"criterion_kwargs": {"smoothing": 0.1}, "verbose": False}
    distillation = LogitDistillationTask(
        *pair, task_loss_weight=0.3, temperature=TAU, device=torch.device("cpu"), **how
    )
    theirs = distillation(torch.zeros(BATCH, 3, 2, 2), labels)["loss"]
    value = ours(alpha=0.7, temperature=TAU, label_smoothing=0.1)
    assert float(theirs) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_weights_that_do_not_add_up_to_one(name):
    """A loss times 1.5, or a rate times 1.5 with a decay divided by it: one step."""
    torch = pytest.importorskip("torch")
    student, teacher, labels = tensors()
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(BATCH, 7)))
    loss = torch.nn.functional.cross_entropy

    def weights(scale, rate, decay):
        w = torch.nn.Parameter(torch.ones(7, given.CLASSES, dtype=torch.float64))
        more = {"momentum": 0.9} if name == "SGD" else {"eps": 1e-12}
        optimizer = getattr(torch.optim, name)([w], lr=rate, weight_decay=decay, **more)
        for _ in range(3):
            optimizer.zero_grad()
            (scale * loss(images @ w, labels)).backward()
            optimizer.step()
        return w.detach().numpy()

    scaled = weights(1.5, 0.1, 0.01)
    same = (1.0, 0.15, 0.01 / 1.5) if name == "SGD" else (1.0, 0.1, 0.01)
    np.testing.assert_allclose(weights(*same), scaled, rtol=1e-6)
