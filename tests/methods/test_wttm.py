import numpy as np
import pytest

from kdjax.methods import METHODS
from tests.methods.outputs import labels_only, value_of
from tests.methods.test_ttm import is_the_papers, slope_is_finite


def test_the_objective_is_the_papers():
    is_the_papers("wttm", weighs=True)


def test_defaults_are_the_authors_example():
    teacher = METHODS["wttm"].build().terms[-1]
    assert (teacher.name, teacher.coefficient) == ("transformed_teacher", 4.0)


def test_a_power_of_one_weighs_every_sample_alike():
    pair = [METHODS[name].build(weight=2.0, power=1.0) for name in ("ttm", "wttm")]
    first, second = map(value_of, pair)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert first > labels_only()


@pytest.mark.parametrize("argument", ["weight", "power"])
def test_numbers_are_above_zero(argument):
    with pytest.raises(ValueError, match=f"wttm: {argument} is 0"):
        METHODS["wttm"].build(**{argument: 0.0})


def test_a_sure_teacher_leaves_finite_gradients():
    slope_is_finite(METHODS["wttm"].build())
