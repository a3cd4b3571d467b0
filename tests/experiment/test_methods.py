"""The keys of a method's section that are not its builder's."""

import pytest

from kdjax.contracts import InputError
from kdjax.experiment.methods import build_method, split_supervisor

FACTS = {"steps_per_epoch": 10.0}


def built(**section):
    return build_method("config.method", section, **FACTS)


def test_connectors_have_a_rate_of_their_own():
    usual, slow = built(name="reviewkd"), built(name="reviewkd", connector_rate=0.1)
    rates = [method.connectors["fusion"].rate for method in (usual, slow)]
    assert rates == [1.0, 0.1]


@pytest.mark.parametrize(
    "section, message",
    [
        ({"name": "dkd", "connector_rate": 0.1}, "has no connectors"),
        ({"name": "reviewkd", "connector_rate": 0.0}, "connector_rate is 0"),
        ({"name": "reviewkd", "connector_rate": "a"}, "connector_rate is 'a'"),
        ({"name": "dkd", "supervisor": "dtd_la"}, "expected a section, such as"),
        ({"name": "dkd", "supervisor": {"temperature": 4.0}}, "expected a section"),
        (
            {"name": "dkd", "supervisor": {"name": "standardise", "weight": 2.0}},
            "standardise has no other keys",
        ),
        (
            {"name": "reviewkd", "supervisor": {"name": "ka_ps", "weight": -1.0}},
            "supervisor.weight is -1",
        ),
        ({"name": "dkd", "supervisor": {"name": "kaps"}}, "Did you mean ka_ps"),
    ],
)
def test_what_does_not_fit_is_named(section, message):
    with pytest.raises(InputError, match=message):
        built(**section)


def test_a_weight_is_of_the_rules_unless_they_take_one():
    """`lskd` has a weight of its own; `ka_ps` has none."""
    for name, own, weight in (("ka_ps", {}, 0.5), ("lskd", {"weight": 0.5}, 1.0)):
        section = {"name": "reviewkd", "supervisor": {"name": name, "weight": 0.5}}
        _, rules, given = split_supervisor("config.method", section)
        assert (rules, given) == ({"name": name} | own, weight)


def test_a_warm_up_ends_within_the_run():
    """Also where the method's own default is meant for 240 epochs."""
    run = {"steps_per_epoch": 10.0, "total_steps": 60}
    message = "warmup_epochs is 20 and the run has 6 .*--config.method.warmup_epochs=0"
    with pytest.raises(InputError, match=message):
        build_method("config.method", {"name": "dkd"}, **run)
    none = {"name": "dkd", "warmup_epochs": 0.0}
    assert build_method("config.method", none, **run).supervisor
    short = {"name": "dkd", "warmup_epochs": 2.0}
    assert build_method("config.method", short, **run).supervisor
