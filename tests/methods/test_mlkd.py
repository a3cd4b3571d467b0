"""MLKD's two forms against loops over samples, and pairs of samples and classes."""

import numpy as np
import pytest

from kdjax.methods import mlkd
from kdjax.types import SecondView
from tests import reference
from tests.methods import given
from tests.methods.test_crld import BATCH, LABELS, kd, networks

TAUS = (4.0, 3.0, 5.0, 2.0, 6.0)


def matrices(view, tau):
    return [np.array(reference.softmax(each.logits, tau)) for each in view]


def batch_level(view, tau):
    """||P_t P_t' - P_s P_s'||^2 / n."""
    s, t = matrices(view, tau)
    pairs = [(i, j) for i in range(len(s)) for j in range(len(s))]
    return sum((t[i] @ t[j] - s[i] @ s[j]) ** 2 for i, j in pairs) / len(s)


def class_level(view, tau):
    """||P_t' P_t - P_s' P_s||^2 / classes."""
    s, t = (np.transpose(p) for p in matrices(view, tau))
    pairs = [(i, j) for i in range(len(s)) for j in range(len(s))]
    return sum((t[i] @ t[j] - s[i] @ s[j]) ** 2 for i, j in pairs) / len(s)


def share(values):
    return np.mean(values <= np.percentile(values, 50))


def objective(weak, strong, form):
    hot = reference.one_hot(LABELS, given.CLASSES)
    instance = {
        name: {tau: kd(*view, tau).mean() for tau in TAUS}
        for name, view in (("weak", weak), ("strong", strong))
    }
    relations = {
        name: [sum(level(view, tau) for tau in TAUS) for view in (weak, strong)]
        for name, level in (("batch", batch_level), ("classes", class_level))
    }
    if form == "public":
        p = reference.softmax(weak[1].logits)
        samples = share(p.max(1)) * sum(instance["weak"].values())
        samples += sum(instance["strong"][tau] for tau in TAUS[:3])
        samples += sum(instance["weak"][tau] for tau in TAUS[3:])
        batch = share(p.max(1)) * relations["batch"][0]
        classes = share(p.sum(0)) * relations["classes"][0]
    else:
        samples = sum(sum(each.values()) for each in instance.values())
        batch, classes = sum(relations["batch"]), sum(relations["classes"])
    return {
        "hard_label": 0.1 * reference.cross_entropy(weak[0].logits, hot).mean(),
        "hard_label_second": 0.1
        * reference.cross_entropy(strong[0].logits, hot).mean(),
        "samples": 0.9 * samples,
        "batch": 0.9 * batch,
        "classes": 0.9 * classes,
    }


def values_of(method, weak, strong, selection):
    inputs = given.loss_inputs(
        *(method, *weak, LABELS, np.float32(selection)),
        second_view=SecondView(*strong),
    )
    return given.terms(method, inputs)


@pytest.mark.parametrize("form", mlkd.FORMS)
def test_the_objective(form):
    weak, strong = networks(7)
    values = values_of(mlkd.build(form=form), weak, strong, np.ones(BATCH))
    assert values == pytest.approx(objective(weak, strong, form), rel=1e-5)


def test_relations_of_selected_samples_alone():
    """What is not selected counts as 0 in the batch's mean."""
    weak, strong = networks(8)
    kept = np.array([0, 2, 3, 5, 6])
    selection = np.zeros(BATCH)
    selection[kept] = 1
    values = values_of(mlkd.build(form="complete"), weak, strong, selection)
    views = [[x._replace(logits=x.logits[kept]) for x in v] for v in (weak, strong)]
    for name, level in (("batch", batch_level), ("classes", class_level)):
        expected = sum(level(view, tau) for view in views for tau in TAUS)
        expected *= 0.9 * len(kept) / BATCH
        assert values[name] == pytest.approx(expected, rel=1e-5)


def test_what_it_declares():
    method = mlkd.build(label_weight=0.0)
    assert method.second_view == "randaugment" and method.needs_teacher
    assert not method.reads and mlkd.build().reads == {"label"}
    assert method.supervisor.temperature is None
    assert all(term.weighted for term in method.terms)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("form", "publc"), ("weight", 0.0), ("label_weight", -1.0)),
        *(("temperatures", (4.0, 0.0)), ("temperatures", ())),
    ],
)
def test_what_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        mlkd.build(**{name: value})
