"""What a section of the report page is made of, whoever draws the page."""

from collections.abc import Sequence
from typing import NamedTuple


class Chart(NamedTuple):
    """A figure with hover values: a Vega-Lite specification with its data inside.

    Without "$schema", "config", colours of a theme or a width: the page gives them.
    """

    spec: dict
    alt: str  # what it shows, for readers who cannot see it
    caption: str = ""


class Table(NamedTuple):
    """Cells of text; the page escapes them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    text_columns: int = 1  # so many from the left are text, the others numbers


class Image(NamedTuple):
    png: bytes
    alt: str
    caption: str = ""


class Gallery(NamedTuple):
    """Small images in a row that wraps, each with its caption."""

    images: Sequence[Image]
    caption: str = ""


class Code(NamedTuple):
    """Lines of text in a fixed width, such as commands; folded behind its caption."""

    text: str
    caption: str = ""
    is_folded: bool = False


class Section(NamedTuple):
    """A heading and what stands under it; a str is a paragraph of plain text."""

    title: str
    blocks: Sequence[Chart | Table | Gallery | Code | str]
