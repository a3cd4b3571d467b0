"""The site: `make docs` writes docs/_build/html from the Markdown pages.

Sphinx's source directory is the repository, so that links between pages are the ones
that work on GitHub, and README and CHANGELOG are pages too.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

import kdjax  # noqa: E402

project, author, copyright = "kdjax", "the kdjax authors", "the kdjax authors"
version = release = kdjax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
extensions += ["plain_docstrings", "source_pages"]

root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md"]
include_patterns += ["docs/api/*.rst", "configs/*/*.md", "configs/*/results/*.md"]
include_patterns += ["launch/*.md", "benchmarks/*.md"]
exclude_patterns = [
    "docs/contents.md",
    ".*",
    "runs",
    "build",
    "dist",
    "docs/_build",
    "**/node_modules",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
highlight_language = "none"  # of blocks without one: commands, formulas
pygments_style, pygments_dark_style = "friendly", "github-dark"

# Annotations of arrays are long; the sections "Args" say the shapes.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = napoleon_attr_annotations = False
default_role = "code"
add_module_names = False

html_theme = "furo"
html_title = f"kdjax {release}"
html_show_sphinx = html_show_copyright = False
html_copy_source = False
templates_path = ["templates"]
html_static_path, html_css_files = ["static"], ["site.css"]
# The root of the site leads to docs/index.html.
html_additional_pages = {"index": "redirect.html"}


def setup(app):
    app.connect("source-read", add_contents)


def add_contents(app, document, source):
    """The sidebar, after the text of the first page."""
    if document == root_doc:
        contents = (HERE / "contents.md").read_text()
        source[0] += contents[contents.index("```{toctree}") :]
