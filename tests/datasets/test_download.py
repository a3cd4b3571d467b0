import hashlib
import pathlib

import pytest
import tensorflow_datasets as tfds

from kdjax.data.registry import DATASETS
from kdjax.data.split import DataError
from kdjax.datasets import download
from kdjax.datasets.archive_builder import builder_class


def silent(message):
    pass


def published(tmp_path, content):
    """Where a file of that content is published, and its sum."""
    (tmp_path / "source").mkdir()
    source = tmp_path / "source" / "a.zip"
    source.write_bytes(content)
    return source.as_uri(), hashlib.sha256(content).hexdigest()


def test_arrives_whole_and_under_its_name(tmp_path):
    content, lines = bytes(range(256)) * 10000, []
    url, digest = published(tmp_path, content)
    path = download.fetch(url, digest, tmp_path / "new", lines.append)
    assert path == tmp_path / "new" / "a.zip" and path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]
    assert lines == [f"downloading {url}"]


def test_two_downloads_at_once_do_not_meet(tmp_path, monkeypatch):
    """The second one starts and ends while the first is half way."""
    content = bytes(range(256)) * 10000
    url, digest = published(tmp_path, content)
    chunks, finished = download._chunks, []

    def interrupted(url):
        for chunk in chunks(url):
            yield chunk
            if not finished:
                finished.append("second")
                download.fetch(url, digest, tmp_path / "new", silent)

    monkeypatch.setattr(download, "_chunks", interrupted)
    path = download.fetch(url, digest, tmp_path / "new", silent)
    assert finished and path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("algorithm, digits", [("md5", 32), ("sha256", 64)])
def test_other_content_is_thrown_away(tmp_path, algorithm, digits):
    url, _ = published(tmp_path, b"a login page")
    with pytest.raises(DataError, match=f"has {algorithm} .* expected 000"):
        download.fetch(url, "0" * digits, tmp_path / "new", silent)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_broken_connection_leaves_nothing(tmp_path, monkeypatch):
    class Broken:
        sizes = []

        def read(self, size):
            self.sizes.append(size)
            if len(self.sizes) == 3:
                raise TimeoutError("timed out")
            return b"x" * 100

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def urlopen(url, timeout):
        assert 0 < timeout <= 30
        return Broken()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(DataError, match="cannot be fetched .timed out."):
        download.fetch("http://x/CINIC-10.tar.gz", "0" * 32, tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_called_a_network_error(tmp_path, monkeypatch):
    url, digest = published(tmp_path, b"x")

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, chunk):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "open", lambda *_: Full())
    with pytest.raises(OSError, match="No space left"):
        download.fetch(url, digest, tmp_path / "new", silent)


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_but_imagenet_can_be_downloaded(name):
    builder = builder_class(name)
    if name == "imagenet2012":
        assert builder.SUMS == ()
    elif builder.FILES:
        for _, digest in zip(builder.FILES[0], builder.SUMS, strict=True):
            assert len(bytes.fromhex(digest)) in (16, 32)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_sums_are_those_that_tfds_publishes(tmp_path, name):
    infos = tfds.builder(name, data_dir=tmp_path).url_infos
    official = {url: info.checksum for url, info in infos.items()}
    builder = builder_class(name)
    for file, digest in zip(builder.FILES[0], builder.SUMS, strict=True):
        (checksum,) = (sum_ for url, sum_ in official.items() if url.endswith(file))
        assert checksum == digest
