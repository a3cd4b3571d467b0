"""Imported weights are scored on images of several sizes, as their authors do it."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from kdjax.cli import evaluate, import_
from kdjax.contracts import InputError
from kdjax.data.registry import STREAMED
from kdjax.weights import safetensors
from tests.data.jpegs import encode, picture, prepare_jpegs
from tests.weights import numpy_resnet

pytestmark = pytest.mark.usefixtures("as_they_are", "own_networks")
SIDE, MEAN, STD = 28, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
SIZES = [(40 + 3 * i, 90 - 2 * i) for i in range(17)]


def preprocessed(content, short_side):
    """torchvision's Resize and CenterCrop, by Pillow."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    width, height = image.size
    short = min(width, height)
    size = [short_side * side // short for side in (width, height)]
    image = np.asarray(image.resize(size, Image.BILINEAR))
    top, left = ((side - SIDE) // 2 for side in image.shape[:2])
    return image[top : top + SIDE, left : left + SIDE]


@pytest.fixture(scope="module")
def contents():
    return [encode(picture(*size, i)) for i, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def tensors(contents):
    pytest.importorskip("safetensors")
    how = {"head": "fc", "projection": "downsample", "channels": 3, "classes": 5}
    tensors = numpy_resnet.draw(5, **how)
    # Else the bias decides, whatever the image.
    tensors["fc.bias"] -= logits(tensors, contents, 32).mean(0).astype(np.float32)
    return tensors


@pytest.fixture(scope="module")
def flags(tensors, contents, tmp_path_factory):
    """Of `evaluate`; labels are the reference's predictions at a short side of 32."""
    root = tmp_path_factory.mktemp("named")
    labels = predictions(tensors, contents, 32)
    prepare_jpegs(root, {"test": list(zip(contents, labels.tolist(), strict=True))})
    safetensors.write(root / "x.safetensors", tensors, {"format": "pt"})
    moments = [
        f"--{key}={','.join(map(str, value))}"
        for key, value in (("mean", MEAN), ("std", STD))
    ]
    shape = f"--image_shape={SIDE},{SIDE},3"
    words = [str(root / "x.safetensors"), "--model=resnet8", shape, *moments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_.devices, "configure", lambda *_: 8)
        assert import_.main([*words, f"--workdir={root / 'w'}"]) == 0
    return [f"--workdir={root / 'w'}", f"--data_dir={root}", "--data=jpeg_set"]


def logits(tensors, contents, short_side):
    pixels = np.stack([preprocessed(content, short_side) for content in contents])
    return numpy_resnet.logits(tensors, (pixels / 255 - MEAN) / STD)


def predictions(*images):
    return logits(*images).argmax(-1)


def scored(capsys, words):
    capsys.readouterr()
    assert evaluate.main(words) == 0
    line = json.loads(capsys.readouterr().out)
    return line["students"]["resnet8"]["top1"], line["split"]


def test_images_are_resized_and_cut_as_for_the_published_number(
    flags, tensors, contents, capsys
):
    top1, identity = scored(capsys, [*flags, "--feed=streamed"])
    assert identity["crops"]["size"] == SIDE and identity["crops"]["short_side"] == 32
    assert top1 == 100.0  # 28 * 256 / 224 is 32
    other = predictions(tensors, contents, 60) == predictions(tensors, contents, 32)
    assert 0.1 < other.mean() < 0.95
    top1, identity = scored(capsys, [*flags, "--short_side=60"])
    assert identity["crops"]["short_side"] == 60
    assert top1 == pytest.approx(100 * other.mean())


def test_a_set_that_is_known_to_be_streamed_needs_no_flag(flags, capsys, monkeypatch):
    monkeypatch.setitem(STREAMED, "jpeg_set", STREAMED["imagenet2012"])
    assert scored(capsys, flags)[0] == 100.0


@pytest.mark.errors
@pytest.mark.parametrize(
    ("words", "message"),
    (
        ([], "expected uint8 of shape.*--feed=streamed"),
        (["--short_side=20"], "--short_side: Geometry: short_side is 20"),
        (["--feed=resident", "--short_side=32"], "--short_side is of --feed=streamed"),
    ),
)
def test_what_cannot_be(flags, words, message):
    with pytest.raises(InputError, match=message):
        evaluate.main([*flags, *words])


def test_import_says_how_to_check_the_teacher(flags, tensors, tmp_path, capsys):
    tensors = dict(tensors)
    tensors["fc.weight"] = np.resize(tensors["fc.weight"], (1000, 64))
    tensors["fc.bias"] = np.resize(tensors["fc.bias"], 1000)
    safetensors.write(tmp_path / "x.safetensors", tensors, {"format": "pt"})
    words = ["--model=resnet8", "--image_shape=28,28,3", "--mean=0,0,0", "--std=1,1,1"]
    file, where = str(tmp_path / "x.safetensors"), f"--workdir={tmp_path / 'w'}"
    assert import_.main([file, *words, where]) == 0
    line = f"evaluate {where} --data=imagenet2012 --split=validation"
    assert line in capsys.readouterr().err
