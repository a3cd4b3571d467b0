"""README is a door: the picture, what to type first, and where to go."""

import re

from tests.documented import ROOT, text_of


def test_it_is_short():
    assert len(text_of("README.md").encode()) <= 6000


def test_it_shows_the_report_and_then_the_demo():
    text = text_of("README.md")
    alternative, picture = re.search(r"!\[([^]]*)\]\(([^)]+)\)", text).groups()
    assert picture == "docs/images/report.png" and len(alternative) > 20
    assert text.index("make demo") < text.index("pip install")


def test_every_page_of_the_table_is_there():
    linked = set(re.findall(r"\]\(docs/(\w+)\.md", text_of("README.md")))
    wanted = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert wanted - linked <= {"contents"}, "link them from the table"
