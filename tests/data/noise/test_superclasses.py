import numpy as np

from kdjax.data.noise.superclasses import (
    SUPERCLASSES,
    class_names,
    next_in_superclass,
    superclass_of_class,
)
from tests.data.noise.examples import COARSE


def test_twenty_superclasses_of_five():
    assert list(SUPERCLASSES) == sorted(SUPERCLASSES) and len(SUPERCLASSES) == 20
    assert len(set(class_names())) == 100
    assert (np.bincount(superclass_of_class()) == 5).all()


def test_the_archive_pairs_them_so():
    assert superclass_of_class().tolist() == COARSE


def test_next_goes_round_the_superclass():
    superclass, following = superclass_of_class(), next_in_superclass()
    where = start = np.arange(100)
    for step in range(1, 6):
        where = following[where]
        np.testing.assert_array_equal(superclass[where], superclass)
        # Round in five steps and not before; up once but for the last of the five.
        assert (where == start).all() if step == 5 else (where != start).all()
    assert (following > start).sum() == 80
