"""`bench --input-only`: rows, a table, where images come from, what is refused."""

import json
import pathlib

import pytest

from kdjax.bench import loader_speed
from kdjax.cli import bench
from kdjax.contracts import InputError
from tests.data.jpegs import pictures, prepare_jpegs

pytestmark = pytest.mark.usefixtures("as_they_are")
SMALL = ["--batch_size=8", "--batches=2", "--repeats=2"]
SYNTHETIC = ["--input-only", "--images=60x50", "--count=11", "--size=24", *SMALL]
CONFIG = """
from kdjax.experiment import schema

def get_config(argument=""):
    config = schema.base()
    config.seed = 3
    config.data.name, config.data.feed = "jpeg_set", "streamed"
    config.data.test = "train"
    config.data.crops.size, config.data.crops.short_side = 16, 20
    config.data.mean, config.data.std = (0.5,) * 3, (0.2,) * 3
    config.data.flip = True
    return config
"""


@pytest.fixture(scope="module")
def jpeg_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("jpegs")
    prepare_jpegs(data_dir, {"train": pictures(21)})
    (data_dir / "config.py").write_text(CONFIG)
    return data_dir


def rows(capsys, *argv):
    assert bench.main([*argv, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_runs_without_data(capsys):
    one, three = rows(capsys, *SYNTHETIC, "--threads=1,3", "--place")
    assert [one["threads"], three["threads"]] == [1, 3]
    for row in (one, three):
        assert row.keys() == loader_speed.KEYS.keys()
        assert row["placed"] and row["pictures"] == 11
        assert row["picture_pixels"] == 3000 and 500 < row["picture_bytes"] < 5000
        assert (row["image_size"], row["batch_size"]) == (24, 8)
        assert (row["batches"], row["repeats"]) == (2, 2)
        low, high = row["images_per_second_low"], row["images_per_second_high"]
        assert 0 < low <= row["images_per_second"] <= high
        assert row["images_per_cpu_second"] > 0
        assert {"simplejpeg", "grain", "kdjax"} <= row["versions"].keys()


def test_nothing_stays_behind_and_old_spellings_are_read(capsys, monkeypatch):
    sizes, directories = [], []

    def measure_split(split, mesh, **options):
        directories.append(pathlib.Path(split.image.opened.builder.data_dir))
        sizes.append(split.image.pixels(0))
        assert directories[-1].is_dir()
        return {}

    monkeypatch.setattr(loader_speed, "measure_split", measure_split)
    old = ["--input_only", "--pictures=60x50", "--count=11", "--size=24", *SMALL]
    for flags in (old, SYNTHETIC):
        assert bench.main([*flags, "--threads=1", "--json"]) == 0
    assert sizes == [60 * 50] * 2
    assert not any(directory.exists() for directory in directories)


def test_a_prepared_set_by_name_and_by_config(jpeg_dir, capsys):
    where = f"--data_dir={jpeg_dir}"
    (named,) = rows(
        capsys, "--input-only", "--data=jpeg_set", where, "--size=16", *SMALL
    )
    assert named["set"] == "jpeg_set" and named["pictures"] == 21
    config = f"--config={jpeg_dir / 'config.py'}"
    crops = "--config.data.crops.size=18"
    (configured,) = rows(capsys, "--input-only", config, crops, where, *SMALL)
    assert configured["image_size"] == 18 and configured["batch_size"] == 8
    assert configured["picture_bytes"] == pytest.approx(named["picture_bytes"])


def test_a_table_for_people(capsys):
    assert bench.main([*SYNTHETIC, "--threads=2"]) == 0
    captured = capsys.readouterr()
    assert "synthetic_images: files of" in captured.out and "batch 8;" in captured.out
    assert "images/s of CPU time: by what cores" in captured.out
    assert "11 synthetic JPEGs of 60x50" in captured.err


def test_an_interruption_keeps_what_was_measured(capsys, monkeypatch):
    results = iter([{"threads": 1}, KeyboardInterrupt()])

    def measure_split(*_, **__):
        result = next(results)
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(loader_speed, "measure_split", measure_split)
    assert bench.main([*SYNTHETIC, "--threads=1,2", "--json"]) == 130
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.errors
@pytest.mark.parametrize(
    "flags, message",
    [
        (["--images=400"], "--images is '400'; expected WIDTHxHEIGHT"),
        (["--images=1x50"], "--images is '1x50'"),
        (["--data=a", "--images=9x9"], "--data and --images each name images"),
        (["--threads=0"], "--threads is '0'"),
        (["--repeats=0"], "--repeats is 0"),
        (["--size=0"], "--size is 0"),
        (["--batch_size=12"], "--batch_size is 12 and there are 8 devices"),
        (["--config.seed=3"], "--config.seed=3: there is no --config"),
        (["--data=jpeg_sat"], "jpeg_sat is not prepared"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(flags, message, jpeg_dir):
    with pytest.raises(InputError) as caught:
        bench.main(["--input-only", f"--data_dir={jpeg_dir}", *flags])
    assert message in str(caught.value)


@pytest.mark.errors
def test_a_resident_set_is_not_decoded(data_dir, tmp_path):
    text = CONFIG.replace('"jpeg_set", "streamed"', '"fashion_mnist_subset", "auto"')
    (tmp_path / "config.py").write_text(
        text.replace("(0.5,) * 3, (0.2,) * 3", "(), ()")
    )
    flags = [f"--config={tmp_path / 'config.py'}", f"--data_dir={data_dir}"]
    with pytest.raises(InputError, match="fashion_mnist_subset is resident"):
        bench.main(["--input-only", *flags])


def test_the_help_explains_every_key(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--input-only", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--pictures" not in text
    for word in ("--images", "CPU time", "130", *loader_speed.KEYS):
        assert word in text
