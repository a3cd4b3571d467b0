import numpy as np

from kdjax.data.registry import AUGMENTS, STREAMED, measured_augment
from kdjax.datasets.builders import BUILDERS
from tests.datasets.miniatures import images


def test_every_set_we_prepare_has_numbers():
    assert set(AUGMENTS) | set(STREAMED) == set(BUILDERS)


def test_measured_as_defined():
    image = images(0, 50, (6, 7, 3))
    image[..., 1] //= 2
    found = measured_augment(image, padding=4, flip=True)
    scaled = image.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, scaled.std((0, 1, 2)), rtol=1e-12)
    assert (found.padding, found.flip) == (4, True)
