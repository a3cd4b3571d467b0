"""Sizes of sets that are not there: from their names, from flags, or refused."""

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.data.loaders.loader import is_streamed
from kdjax.data.registry import AUGMENTS, DATASETS, STREAMED
from kdjax.experiment.described import KNOWN, DatasetSpec, Sizes, describe_data
from kdjax.experiment.schema import nested


def data(name, **keys):
    return nested()["data"] | {"name": name, "data_dir": "/nowhere"} | keys


def test_imagenet_needs_no_pictures():
    images = describe_data(data("imagenet2012"), Sizes())
    assert is_streamed(images.train) and isinstance(images.train.image, DatasetSpec)
    assert images.train.image.shape == (1_281_167, 224, 224, 3)
    assert images.train.label.shape == (1_281_167,)
    assert len(images.train.class_names) == 1000
    assert images.augment == STREAMED["imagenet2012"]
    crops = {"size": 160, "short_side": 182, "smallest_area": 0.25}
    images = describe_data(data("imagenet2012:5.1.0", crops=crops), Sizes())
    assert images.train.image.shape[1:] == (160, 160, 3)


@pytest.mark.parametrize("name", sorted(AUGMENTS.keys() & KNOWN.keys()))
def test_what_is_prepared_here_is_known(name):
    images, sizes = describe_data(data(name), Sizes()), KNOWN[name]
    shape = (sizes.examples, sizes.image_size, sizes.image_size, sizes.channels)
    assert images.train.image.shape == shape and not is_streamed(images.train)
    assert images.train.image.nbytes == np.prod(shape)
    assert np.shares_memory(images.train.image[0], images.train.image[-1])
    assert images.augment == AUGMENTS[name]
    assert len(images.augment.mean) == sizes.channels


def test_all_that_can_be_prepared_is_known():
    assert DATASETS.keys() - {"fashion_mnist_subset"} <= KNOWN.keys()
    assert (AUGMENTS.keys() | STREAMED.keys()) - {"fashion_mnist_subset"} == set(KNOWN)


def test_flags_come_first():
    images = describe_data(data("cifar100"), Sizes(classes=7, examples=300))
    assert images.train.image.shape == (300, 32, 32, 3)
    assert len(images.train.class_names) == 7
    own = data("my_set", feed="resident")
    images = describe_data(own, Sizes(40, 3, 50))
    assert images.train.image.shape == (50, 40, 40, 3) and images.augment.flip
    images = describe_data(own | {"feed": "streamed"}, Sizes(classes=3, examples=50))
    assert images.train.image.shape == (50, 224, 224, 3)
    assert images.augment.padding == 0


def test_what_is_more_than_shapes_is_read(data_dir):
    embedded = data("fashion_mnist_subset", data_dir=str(data_dir))
    images = describe_data(embedded, Sizes())
    assert images.train.image.any() and images.train.label.any()


@pytest.mark.errors
@pytest.mark.parametrize(
    ("section", "sizes", "message"),
    [
        (data("my_set"), Sizes(), "not prepared.*--classes"),
        (data("cifar100", train="train[:45000]"), Sizes(), "not prepared.*--examples"),
        (data("my_set"), Sizes(32, 10, 100), "feed is 'auto'.*feed=resident"),
        (data("my_set", feed="resident"), Sizes(32, 10), "--examples is None"),
        (data("my_set", feed="resident"), Sizes(32, 0, 9), "--classes is 0"),
        (data("imagenet2012"), Sizes(160), "of 224 pixels; .*crops.size"),
        (data("imagenet2012", feed="stream"), Sizes(), "data.feed is 'stream'"),
        (data("imagenet2012", padding=4), Sizes(), "config.data.padding is 4"),
    ],
)
def test_errors(section, sizes, message):
    with pytest.raises(InputError, match=message):
        describe_data(section, sizes)


@pytest.mark.errors
def test_labels_that_a_selection_reads_must_be_there():
    with pytest.raises(InputError, match="cifar100 is not prepared"):
        describe_data(data("cifar100"), Sizes(), needs_labels=True)
