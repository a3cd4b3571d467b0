"""A page's own folder of photos, for commands that are typed from it."""

import pathlib

from kdjax.cli import prepare
from tests.data.jpegs import encode, picture

NAME = "photos"


def write_photos(directory):
    """A folder of two classes, without splits."""
    for class_name, first in (("cat", 0), ("dog", 9)):
        path = directory / class_name
        path.mkdir(parents=True)
        for number in range(first, first + 6):
            (path / f"{number}.jpg").write_bytes(encode(picture(32, 32, number)))


def prepare_photos(name, words):
    """In earnest, of a few images: the next commands take the config that it writes."""
    if name == NAME:
        write_photos(pathlib.Path(NAME))
        assert prepare.main(words) == 0


def with_config(word, root):
    """--config=FILE of the repository, or of what `prepare_photos` has written here."""
    option, _, path = word.partition("=")
    if option != "--config" or pathlib.Path(path.split(":")[0]).exists():
        return word
    return f"{option}={root}/{path}"
