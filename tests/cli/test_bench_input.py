"""`bench --input-only`: rows, a table, where pictures come from, what is refused."""

import json
import pathlib

import pytest

from kdjax.bench import feed as timing
from kdjax.cli import bench, bench_input
from kdjax.contracts import InputError
from tests.data.jpegs import pictures, prepare_jpegs

pytestmark = pytest.mark.usefixtures("as_they_are")
SMALL = ["--batch_size=8", "--batches=2", "--repeats=2"]
DRAWN = ["--input-only", "--pictures=60x50", "--count=11", "--size=24", *SMALL]
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


def test_anybody_can_run_it_without_data(capsys):
    one, three = rows(capsys, *DRAWN, "--threads=1,3", "--place")
    assert [one["threads"], three["threads"]] == [1, 3]
    for row in (one, three):
        assert row.keys() == timing.KEYS.keys()
        assert row["placed"] and row["pictures"] == 11
        assert row["picture_pixels"] == 3000 and 500 < row["picture_bytes"] < 5000
        assert (row["image_size"], row["batch_size"]) == (24, 8)
        assert (row["batches"], row["repeats"]) == (2, 2)
        low, high = row["images_per_second_low"], row["images_per_second_high"]
        assert 0 < low <= row["images_per_second"] <= high
        assert row["images_per_cpu_second"] > 0
        assert {"simplejpeg", "grain", "kdjax"} <= row["versions"].keys()


def test_nothing_stays_behind(capsys, monkeypatch):
    where = []

    def run(asked):
        where.append(pathlib.Path(asked.split.image.opened.builder.data_dir))
        assert where[0].is_dir()
        return 0

    monkeypatch.setattr(bench_input, "run", run)
    assert bench.main([f for f in DRAWN if f != "--input-only"] + ["--input_only"]) == 0
    assert not where[0].exists()


def test_a_prepared_set_by_name_and_by_config(jpeg_dir, capsys):
    where = f"--data_dir={jpeg_dir}"
    (named,) = rows(
        capsys, "--input-only", "--data=jpeg_set", where, "--size=16", *SMALL
    )
    assert named["set"] == "jpeg_set" and named["pictures"] == 21
    config = f"--config={jpeg_dir / 'config.py'}"
    crops = "--config.data.crops.size=18"
    (told,) = rows(capsys, "--input-only", config, crops, where, *SMALL)
    assert told["image_size"] == 18 and told["batch_size"] == 8
    assert told["picture_bytes"] == pytest.approx(named["picture_bytes"])


def test_a_table_for_people(capsys):
    assert bench.main([*DRAWN, "--threads=2"]) == 0
    told = capsys.readouterr()
    assert "synthetic_images: files of" in told.out and "batch 8;" in told.out
    assert "images/s of CPU time: by what cores" in told.out
    assert "drawing 11 JPEGs of 60x50" in told.err


def test_an_interruption_keeps_what_was_measured(capsys, monkeypatch):
    answers = iter([{"threads": 1}, KeyboardInterrupt()])

    def measured(*_):
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(bench_input, "_measured", measured)
    assert bench.main([*DRAWN, "--threads=1,2", "--json"]) == 130
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.errors
@pytest.mark.parametrize(
    "flags, message",
    [
        (["--pictures=400"], "--pictures is '400'; expected WIDTHxHEIGHT"),
        (["--pictures=1x50"], "--pictures is '1x50'"),
        (["--data=a", "--pictures=9x9"], "--data and --pictures each name pictures"),
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
    made = CONFIG.replace('"jpeg_set", "streamed"', '"fashion_mnist_subset", "auto"')
    (tmp_path / "config.py").write_text(
        made.replace("(0.5,) * 3, (0.2,) * 3", "(), ()")
    )
    flags = [f"--config={tmp_path / 'config.py'}", f"--data_dir={data_dir}"]
    with pytest.raises(InputError, match="fashion_mnist_subset is resident"):
        bench.main(["--input-only", *flags])


def test_the_help_explains_every_key(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--input-only", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for word in ("--pictures", "CPU time", "130", *timing.KEYS):
        assert word in text
