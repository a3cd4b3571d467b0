"""Every host under every rule: it builds and trains, or the error says why not."""

import jax
import numpy as np
import pytest

from kdjax.experiment.methods import build_method
from kdjax.methods.fallback import with_label_fallback
from tests.methods.field import CASES, FACTS, problem_of, teacher_of
from tests.training import problems

HOSTS = {"kd": {"alpha": 0.9, "temperature": 4.0}, "mse": {}} | CASES
WARM = {"base": 4.0, "spread": 4.0}
SUPERVISORS = {
    "la": {"name": "ka_ps"},
    "dtd": {"name": "dtd_flsw"} | WARM,
    "dtd_la": {"name": "dtd_la"} | WARM,
    "lr": {"name": "lr_kl"},
    "entropy": {"name": "ea_kd"},
    "standardise": {"name": "standardise"},
}
ATTACHMENTS = (*SUPERVISORS, "selection")
WHY = (
    "looks at no teacher",
    "compares two views of a sample",
    "acts on logits, and this method compares none",
    "no temperature that a rule could give",
)


def built(host, attachment):
    """The method; ValueError where the pair has no meaning."""
    section = {"name": host} | HOSTS[host]
    if attachment in SUPERVISORS:
        section["supervisor"] = SUPERVISORS[attachment]
    method = build_method("method", section, **FACTS)
    if attachment == "selection":
        return with_label_fallback(method, "batch")
    return method


def reason(host, attachment):
    """Why there is no such pair, by what the host is; "" where there is one."""
    method = built(host, "")
    if attachment == "selection":
        return ""
    if not method.needs_teacher:
        return WHY[0]
    if method.second_view:
        return WHY[1]
    if method.supervisor is None:
        return WHY[2] if attachment == "standardise" else ""
    softens = method.supervisor.temperature is not None
    return "" if softens or attachment in ("la", "entropy", "standardise") else WHY[3]


def pairs(host):
    """What attaches to a host; nothing where it has no teacher."""
    if not built(host, "").needs_teacher:
        return []
    return [name for name in ATTACHMENTS if not reason(host, name)]


def problem(host, attachments):
    """One program of a student for each; they share images and teacher."""
    teacher = teacher_of(host)
    students = {
        name: problem_of(built(host, name), teacher=teacher).students["student"]
        for name in attachments
    }
    chosen = (np.arange(problems.COUNT) % 3 > 0).astype(np.float32)
    info = {"selection": {"selection": chosen}} if "selection" in attachments else None
    return problems.Problem(1, students, teacher=teacher, sample_info=info)


def trains(host, attachments):
    one = problem(host, attachments)
    states, metrics = one.run(one.initialise(), 0, 1)
    for name, values in jax.device_get(metrics).items():
        assert all(np.isfinite(value).all() for value in values.values()), (
            name,
            values,
        )
        assert values["skipped"] == 0 and values["gradient_norm"] > 0, (name, values)
    for leaf in jax.tree.leaves(
        jax.device_get({n: s.trained for n, s in states.items()})
    ):
        assert np.isfinite(leaf).all()


@pytest.mark.errors
@pytest.mark.parametrize("host", HOSTS)
def test_it_builds_or_the_error_says_why(host):
    for attachment in ATTACHMENTS:
        why = reason(host, attachment)
        if why:
            with pytest.raises(ValueError, match=f"method.supervisor: .*{why}"):
                built(host, attachment)
            continue
        method, plain = built(host, attachment), built(host, "")
        names = [term.name for term in method.terms]
        assert set(names) >= {term.name for term in plain.terms}
        assert method.has_label_fallback == (attachment == "selection")
        assert set(method.needs) >= set(plain.needs)
        assert method.connectors.keys() >= plain.connectors.keys()


TAUGHT = [host for host in HOSTS if pairs(host)]
SPREAD = [
    (host, pairs(host)[number % len(pairs(host))]) for number, host in enumerate(TAUGHT)
]


@pytest.mark.parametrize("host, attachment", SPREAD)
def test_a_spread_of_them_is_traced_as_a_step(host, attachment):
    one = problem(host, (attachment,))
    states = jax.eval_shape(one.initialise)
    spec = one.feed.batch_spec(0)
    after, metrics = jax.eval_shape(
        one.compiled, states, one.variables, one.feed.source, spec
    )
    assert jax.tree.structure(after) == jax.tree.structure(states)
    assert metrics[attachment]["loss"].shape == ()


@pytest.mark.long
def test_rules_train_on_a_host():
    trains("dkd", ("dtd_la", "lr", "selection"))


@pytest.mark.long
@pytest.mark.parametrize("host", TAUGHT)
def test_every_pair_trains(host):
    trains(host, pairs(host))
