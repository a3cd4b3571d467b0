"""Rules on a host: targets that stay as they are, and the temperature in use."""

import numpy as np
import pytest

from kdjax.methods.attach import attach
from tests.methods.outputs import STUDENT, TEACHER, mean_kl, value_of
from tests.methods.test_attach import NOW, build, swapped


@pytest.mark.parametrize("host", ["dkd", "gdkd", "mkl", "luminet", "dist"])
def test_a_target_rule_that_changes_nothing_changes_no_loss(host):
    """Where the teacher is right on every sample; some hosts compare over the batch."""
    facts = NOW if host != "dist" else {}
    host, right = build(host, **facts), np.argmax(TEACHER, -1)
    tau = host.supervisor.temperature.constant
    rules = build("lr_kl", temperature=tau, only_wrong=True)
    values = [value_of(one, labels=right) for one in (host, attach(host, rules))]
    np.testing.assert_allclose(*values, rtol=1e-5)


@pytest.mark.parametrize("tau", (0.5, 4.0))
def test_the_fix_for_small_temperatures_is_that_of_the_temperature_in_use(tau):
    """kd's own is on the other side of 1; the golden is of NumPy's KL."""
    host = build("noisy_teacher", temperature=2.0 / tau)
    method = attach(host, build("ka_ps", temperature=tau))
    factor = tau if tau <= 1 else tau**2
    expected = factor * mean_kl(STUDENT, swapped(), tau)
    np.testing.assert_allclose(value_of(method), expected, rtol=2e-5)
