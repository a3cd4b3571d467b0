"""What rules did: images with their scores, precision and recall, small pictures."""

import cv2
import numpy as np
import pytest
import vl_convert

from kdjax.reporting.blocks import Chart, Gallery, Table
from kdjax.reporting.evidence import rules
from kdjax.reporting.evidence.thumbnails import thumbnail
from tests.reporting.answers import SELECTIONS, blocks, image_at, selected, values


def bars(mark):
    """The rectangles of every bar in a scene."""
    if mark.get("name") == "marks" and mark.get("marktype") == "rect":
        yield from mark["items"]
    for item in mark.get("items", ()):
        yield from bars(item)


def test_selected_samples_by_score_and_with_their_true_labels():
    section = rules.selected_samples(SELECTIONS, list("abcd"))
    one = SELECTIONS[0][0]
    table = blocks(section, Table)[0]
    kept = int(one.keep.sum())
    first = ("ds", "the teacher", str(kept), "60", f"{100 * kept / 60:.1f}")
    assert table.rows[0] == (*first, "0.750", "0.500", "0.600", "0.800")
    assert table.rows[1][5:] == ("-",) * 4
    best, worst = np.argmax(one.score), np.argmin(one.score)
    galleries = blocks(section, Gallery)
    for gallery, i in ((galleries[0], best), (galleries[1], worst)):
        caption = "abcd"[one.label[i]]
        if one.true_label[i] != one.label[i]:
            caption += f" (truly {'abcd'[one.true_label[i]]})"
        assert gallery.images[0].caption == f"{caption} · score {one.score[i]:.3g}"
    counts = values(blocks(section, Chart)[0], "samples")
    total = {
        k: sum(r["images"] for r in counts if r["samples"] == k)
        for k in ("selected", "left out")
    }
    scene = vl_convert.vegalite_to_scenegraph(blocks(section, Chart)[0].spec)
    heights = [bar["height"] for bar in bars(scene["scenegraph"]) if bar["height"]]
    assert max(heights) > 20  # pixels: bars, and no ticks
    assert total == {"selected": kept, "left out": 60 - kept}


def test_scores_that_are_not_finite_are_no_bar():
    one = selected()
    score = np.where(np.arange(60) == 3, -np.inf, one.score)
    keep = one.keep & (np.arange(60) != 3)
    infinite = one._replace(score=score, keep=keep)
    section = rules.selected_samples([(infinite, image_at)], list("abcd"))
    chart = blocks(section, Chart)[0]
    assert sum(row["images"] for row in values(chart, "samples")) == 59
    assert "-inf" in blocks(section, Gallery)[1].images[0].caption


@pytest.mark.parametrize("shape", ((28, 28, 1), (224, 112, 3), (97, 20, 1)))
def test_thumbnails_are_the_images_and_at_most_96_pixels(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    flag = cv2.IMREAD_UNCHANGED
    read = cv2.imdecode(np.frombuffer(thumbnail(image), np.uint8), flag)
    if shape[0] <= 96:
        np.testing.assert_array_equal(read, image[..., 0])
    else:
        assert max(read.shape[:2]) == 96
        channels = image[..., ::-1] if shape[-1] == 3 else image
        assert read.mean() == pytest.approx(channels.mean(), abs=4)
