"""The table of speeds shows every number it has, and no peak that is not known."""

import io

from kdjax.reporting.speeds import COLUMNS, cells, print_speeds

ROW = {
    "pair": "wrn_28_4:wrn_16_2",
    "mode": "live",
    "students": 8,
    "dispatch": 16,
    "batch_size": 128,
    "image_size": 32,
    "device": "cpu",
    "devices": 2,
    "compile_seconds": 71.26,
    "images_per_second": 1234.5,
    "images_per_second_low": 1200.0,
    "images_per_second_high": 1261.7,
    "student_images_per_second": 9876.0,
    "input_wait": 0.0123,
    "flops_per_second": 8.08e12,
    "flop_utilisation": None,
    "bytes_per_second": 5.9e11,
    "memory_utilisation": None,
}
KNOWN = {"flop_utilisation": 0.173, "memory_utilisation": 0.65, "device": "NVIDIA X"}


def shown(*rows):
    stream = io.StringIO()
    print_speeds(list(rows), stream)
    return stream.getvalue()


def test_nothing_is_cut_off():
    text = shown(ROW | KNOWN)
    assert "…" not in text
    for cell in cells(ROW | KNOWN):
        assert cell in text
    for heading in COLUMNS:
        for line in heading.split("\n"):
            assert line in text
    assert "wrn_28_4:wrn_16_2, batch 128, 32x32, 2 x NVIDIA X" in text
    assert "model FLOP/s utilisation" in text and "not known" not in text


def test_a_device_without_a_peak_has_no_shares():
    text = shown(ROW)
    assert "peak of cpu is not known: no utilisation" in text
    assert "of\npeak" not in text and "roof" not in text
    assert "8,080" in text


def test_cells():
    assert cells(ROW | KNOWN) == (
        *("live", "8", "16", "71.3", "1,234", "5.0 %", "9,876", "8,080", "17.3 %"),
        *("590", "65.0 %", "1.2 %"),
    )
    alone = ROW | {"mode": "input", "students": 0}
    assert cells(alone)[6:11] == ("-",) * 5
