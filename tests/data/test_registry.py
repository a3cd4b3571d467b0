import numpy as np
import pytest

from kdjax.data.registry import DATASETS, measured_augment
from kdjax.datasets.archive_builder import builder_class
from tests.datasets.miniatures import images


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_has_a_builder_that_agrees(name):
    builder, entry = builder_class(name), DATASETS[name]
    assert builder.name == name and len(builder.FILES) == 0 or builder.URL
    assert entry.sizes.examples in (None, builder.SIZES["train"])
    assert len(entry.augment.mean) == entry.sizes.channels or not entry.sizes.classes


def test_measured_as_defined():
    image = images(0, 50, (6, 7, 3))
    image[..., 1] //= 2
    actual = measured_augment(image, padding=4, flip=True)
    scaled = image.astype(np.float64) / 255
    np.testing.assert_allclose(actual.mean, scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(actual.std, scaled.std((0, 1, 2)), rtol=1e-12)
    assert (actual.padding, actual.flip) == (4, True)
