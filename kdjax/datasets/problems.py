"""All that is wrong with a folder of images, in one report."""

import os
from typing import NamedTuple

from kdjax.data.split import DataError

FIRST = 5  # of each kind that are shown


class Kind(NamedTuple):
    """What can be wrong."""

    title: str
    advice: str
    is_fatal: bool = True  # whether nothing is written


KINDS = {
    "unreadable": Kind(
        "images cannot be read",
        "Mend or delete them, or allow more with --skip_at_most.",
    ),
    "nested": Kind(
        "folders lie in folders of classes",
        "Expected DIR/CLASS/*.jpg or DIR/train/CLASS/*.jpg. With --nested their images "
        "are of the class; if they are the classes, give the folder above them.",
    ),
    "empty": Kind("folders of classes have no images", "Delete them, or add images."),
    "name": Kind(
        "names cannot be kept",
        "Expected names in UTF-8, those of classes without blanks at an end and "
        "without line breaks; rename them.",
    ),
    "unknown": Kind(
        "classes are not in train", "Expected the classes of train; rename them."
    ),
    "alone": Kind(
        "class is all there is",
        "Expected two classes or more, a folder each. Is it the folder above them?",
    ),
    "missing": Kind(
        "classes have no image to validate with",
        "Their accuracy will not be measured; add images.",
        False,
    ),
    "leak": Kind(
        "images are in train and again in a split that measures",
        "Accuracy on them means little; delete the copies and prepare again.",
        False,
    ),
    "conflict": Kind(
        "images are in two classes", "Delete the wrong copy of each.", False
    ),
    "tiny": Kind(
        "images are much smaller than what a network will see of them",
        "Delete them if they are thumbnails; or choose a smaller --image_size.",
        False,
    ),
    "ignored": Kind("files or folders are no images, and ignored", "", False),
}


class Problems:
    """Collects what is wrong, by kind, in the order in which it comes.

    >>> problems = Problems()
    >>> problems.add("empty", "lamp")
    >>> problems.is_fatal, problems.lines(fatal=True)[0]
    (True, '1 folders of classes have no images:')
    """

    def __init__(self):
        self._items: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self._expected: dict[str, int] = {}

    def add(self, kind: str, item: str) -> None:
        self._items[kind].append(item)

    def allow(self, kind: str, limit: int) -> None:
        """So many of a kind are no problem."""
        self._expected[kind] = limit

    @property
    def is_fatal(self) -> bool:
        return any(KINDS[kind].is_fatal for kind in self._kinds())

    def lines(self, fatal: bool) -> list[str]:
        """The report on what forbids to write a set, or on what does not."""
        lines = []
        for kind in self._kinds():
            if KINDS[kind].is_fatal == fatal:
                items, limit = self._items[kind], self._expected.get(kind)
                expected = "" if limit is None else f"; expected {limit:,} at most"
                lines.append(f"{len(items):,} {KINDS[kind].title}{expected}:")
                lines += [f"    {printed(item)}" for item in items[:FIRST]]
                if len(items) > FIRST:
                    lines.append(f"    and {len(items) - FIRST:,} more")
                lines += [f"  {KINDS[kind].advice}"] * bool(KINDS[kind].advice)
        return lines

    def check(self, where: str) -> None:
        """Raises DataError with the whole report if something is fatal."""
        if self.is_fatal:
            head = f"{printed(where)}: nothing is written."
            raise DataError("\n".join([head, *self.lines(True), *self.lines(False)]))

    def _kinds(self) -> list[str]:
        return [
            kind
            for kind, items in self._items.items()
            if len(items) > self._expected.get(kind, 0)
        ]


def printed(name: str) -> str:
    """A name, in quotation marks and with escapes where it does not print as it is."""
    if name.isprintable() and name == name.strip():
        return name
    is_utf8 = name.encode(errors="replace").decode() == name
    return repr(name) if is_utf8 else repr(os.fsencode(name))[1:]
