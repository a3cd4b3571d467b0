from benchmarks import image_formats


def test_every_format_is_timed(tmp_path, capsys):
    words = [f"--data_dir={tmp_path}", "--images=8", "--batch_size=4"]
    image_formats.main([*words, "--steps=2", "--rounds=2"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [(row[0].removeprefix("synthetic_images"), row[1]) for row in rows[1:]] == [
        ("", "224"),
        ("/short_side_256_quality_95", "224"),
        ("/pixels_256", "224"),
        ("", "128"),
        ("/pixels_160", "128"),
    ]
    assert all(float(number) > 0 for row in rows[1:] for number in row[3:5])
    # Of an image of 500 by 375: 256 pixels high, 341 wide, three bytes each.
    assert abs(float(rows[3][2]) * 1e9 / 8 - 3 * 256 * 341) < 30_000
    assert rows[1][5] == rows[4][5] == "1.00 (1.00 - 1.00)"
