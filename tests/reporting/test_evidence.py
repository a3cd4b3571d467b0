"""Sections of networks' answers: their numbers by NumPy, their charts by Vega-Lite."""

import io
import json
import warnings

import altair
import cv2
import numpy as np
import pytest
import vl_convert
from scipy import special

from kdjax.analysis.outputs import NetworkOutputs
from kdjax.reporting.blocks import Chart, Gallery, Table
from kdjax.reporting.evidence import (
    correlation,
    disagreement,
    distances,
    gains,
    projection,
    rules,
)
from kdjax.reporting.evidence.charts import names_of
from kdjax.reporting.evidence.png import write_png
from tests.reporting.answers import (
    CHANGES,
    ODD,
    SELECTIONS,
    blocks,
    compared,
    image_at,
    values,
)


def sections_of(data):
    return [
        distances.logit_distances(data),
        distances.feature_norms(data),
        projection.projection(data),
        correlation.correlation(data),
        gains.gains(data),
        disagreement.disagreement(data, image_at),
        rules.changed_targets(CHANGES, names_of(data.class_names)),
        rules.selected_samples(SELECTIONS, names_of(data.class_names)),
    ]


def test_every_chart_is_valid_and_drawn_without_a_warning(capfd):
    shown = 0
    for section in sections_of(compared(names=ODD)):
        for chart in blocks(section, Chart):
            spec = chart.spec
            assert not {"$schema", "config"} & set(spec) and chart.alt
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                altair.Chart.from_dict(
                    spec | {"width": spec.get("width", 400)}
                ).to_dict()
            svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
            assert svg.count("<path") > 3 and "NaN" not in svg
            shown += 1
        text = json.dumps([b.spec for b in blocks(section, Chart)])
        assert "\\u001b" not in text
    assert shown == 2 + 4 + 3 + 1 + 1
    assert "WARN" not in "".join(capfd.readouterr())


def test_densities_integrate_to_one_and_have_their_median():
    data = compared()
    section = distances.logit_distances(data)
    rows = values(section.blocks[0], "network", "x", "y")
    for name in ("ce", "kd", "mse"):
        d = np.float64(data.networks[name].logits - data.networks["teacher"].logits)
        own = np.sqrt((d**2).sum(1))
        x, y = np.array([(r["x"], r["y"]) for r in rows if r["network"] == name]).T
        assert np.trapezoid(y, x) == pytest.approx(1.0, abs=0.01)
        below = x <= np.median(own)
        assert np.trapezoid(y[below], x[below]) == pytest.approx(0.5, abs=0.06)
        assert f"{name} {np.median(own):.3g}" in section.blocks[0].alt
    assert "120 of 500 test images" in section.blocks[0].caption


def test_a_network_that_is_its_teacher_is_drawn():
    data = compared()
    same = data._replace(networks=data.networks | {"kd": data.networks["teacher"]})
    chart = distances.logit_distances(same).blocks[0]
    rows = [row for row in values(chart, "network") if row["network"] == "kd"]
    assert {row["x"] for row in rows} == {0.0}


def test_projections_are_square_and_draw_an_even_part():
    data = compared()
    for chart, outputs in zip(
        blocks(projection.projection(data), Chart), data.networks.values(), strict=True
    ):
        assert chart.spec["width"] == chart.spec["height"]
        ends = [chart.spec["encoding"][axis]["scale"]["domain"] for axis in "xy"]
        assert np.diff(ends[0]) == pytest.approx(np.diff(ends[1]), abs=0.01)
        rows = {(row["x"], row["y"]) for row in values(chart, "x", "y")}
        assert rows == {tuple(point) for point in outputs.points.round(3).tolist()}


def test_correlations_are_numpys():
    data = compared()
    section = correlation.correlation(data)
    logits = {name: np.float64(one.logits) for name, one in data.networks.items()}
    expected = np.corrcoef(logits["kd"].T) - np.corrcoef(logits["teacher"].T)
    chart = blocks(section, Chart)[1]
    cells = {(r["row"], r["column"]): r["value"] for r in values(chart, "row")}
    assert cells["class 1", "class 4"] == pytest.approx(expected[1, 4], abs=6e-4)
    pairs = np.abs(expected[np.triu_indices(6, 1)])
    row = blocks(section, Table)[0].rows[1]
    assert row == ("kd", f"{pairs.mean():.3f}", f"{pairs.max():.3f}")


def test_a_constant_logit_is_marked_and_the_others_are_shown():
    data = compared()
    kd = data.networks["kd"].logits.copy()
    kd[:, 2] = -3.7  # a class that is never predicted
    networks = data.networks | {"kd": data.networks["kd"]._replace(logits=kd)}
    section = correlation.correlation(data._replace(networks=networks))
    text, note, table, *charts = section.blocks
    assert note.startswith("kd: the logit of class 2 is the same") and len(charts) == 3
    teacher = np.float64(data.networks["teacher"].logits)
    rest = [0, 1, 3, 4, 5]
    both = (np.corrcoef(np.float64(x[:, rest]).T) for x in (kd, teacher))
    expected = np.abs(np.subtract(*both)[np.triu_indices(5, 1)])
    assert table.rows[1] == ("kd", f"{expected.mean():.3f}", f"{expected.max():.3f}")
    assert table.rows[0] == correlation.correlation(data).blocks[1].rows[0]
    empty = [row for row in values(charts[1], "row") if row["value"] is None]
    assert len(empty) == 11
    svg = vl_convert.vegalite_to_svg(charts[1].spec, allowed_base_urls=[])
    assert svg.count(correlation._GREY) == 11 and "NaN" not in svg
    every = data.networks["kd"]._replace(logits=np.ones_like(kd))
    networks = {"teacher": data.networks["teacher"], "kd": every}
    alone = data._replace(networks=networks, teacher_of={"kd": "teacher"})
    assert len(correlation.correlation(alone).blocks) == 2


def test_gains_name_other_optimizers():
    (caption, same) = (
        gains.gains(compared()._replace(other_optimizers=others)).blocks[0].caption
        for others in ({"kd": "optimizer.name adamw instead of sgd"}, {})
    )
    assert caption.endswith(": kd (optimizer.name adamw instead of sgd).")
    assert caption.startswith(same) and "optimizer" not in same


def test_gains_are_counted():
    data = compared()
    section = gains.gains(data)
    right = {n: one.logits.argmax(1) == data.labels for n, one in data.networks.items()}
    table, chart = section.blocks
    b = int(np.sum(right["kd"] & ~right["ce"]))
    c = int(np.sum(right["ce"] & ~right["kd"]))
    difference = 100 * (right["kd"].mean() - right["ce"].mean())
    assert table.rows[0][:3] == ("kd", "ce", f"{difference:+.2f}")
    assert table.rows[0][4:6] == (str(b), str(c))
    rows = {(r["network"], r["class"]): r for r in values(chart, "network", "class")}
    own = data.labels == 3
    expected = 100 * (right["mse"][own].mean() - right["ce"][own].mean())
    assert rows["mse", "class 3"]["difference"] == pytest.approx(expected, abs=0.01)
    assert rows["mse", "class 3"]["images"] == own.sum()


def test_many_classes_are_cut_and_that_is_said():
    data = compared(classes=40)
    drawn = {row["class"] for row in values(gains.gains(data).blocks[1], "class")}
    assert len(drawn) == 20
    assert "Of 38 classes the 10" in gains.gains(data).blocks[1].caption
    section = correlation.correlation(data)
    assert len(values(blocks(section, Chart)[0], "row")) == 400
    assert "20 of 40 classes" in section.blocks[0]


def test_disagreement_shows_the_images_that_scipy_finds():
    data = compared(names=ODD)
    section = disagreement.disagreement(data, image_at)
    p, q = (
        special.softmax(np.float64(data.networks[n].logits), 1)
        for n in ("teacher", "kd")
    )
    m = (p + q) / 2
    score = (special.rel_entr(p, m) + special.rel_entr(q, m)).sum(1) / 2
    rows = np.argsort(-score)[:6]
    gallery = blocks(section, Gallery)[1]
    shown = [
        cv2.imdecode(np.frombuffer(i.png, np.uint8), 1)[0, 0, 0] for i in gallery.images
    ]
    assert shown == rows.tolist()
    top, names = p[rows[0]], names_of(ODD)
    words = f"teacher: {names[top.argmax()]} {100 * top.max():.0f}\xa0%"
    assert words in gallery.images[0].caption
    assert "\x1b" not in gallery.images[0].alt
    assert names[4:] == ["cat (4)", "cat (5)"]


def test_what_is_not_there_is_no_section():
    data = compared(teacher=False, baseline=False)
    missing = sections_of(data)
    assert [bool(one) for one in missing[:6]] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert rules.changed_targets([], []) is None
    assert rules.selected_samples([], []) is None
    bare = {n: NetworkOutputs(one.logits) for n, one in data.networks.items()}
    data = data._replace(networks=bare)
    assert distances.feature_norms(data) is projection.projection(data) is None


def test_charts_of_a_section_as_one_png(tmp_path):
    data, sizes = compared(), []
    for section in (distances.logit_distances(data), projection.projection(data)):
        write_png(section, tmp_path / "new" / "a.png")
        png = (tmp_path / "new" / "a.png").read_bytes()
        sizes.append(
            cv2.imdecode(np.frombuffer(io.BytesIO(png).read(), np.uint8), 1).shape
        )
    assert sizes[1][1] > sizes[0][1]  # three side by side, not one
