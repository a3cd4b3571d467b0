"""Links to files of the repository that are no pages lead to pages with their text.

On GitHub such a link shows the file; a browser would download it from a site.
"""

import html
import pathlib

from docutils import nodes
from sphinx import addnodes

SUFFIXES = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".json": "json"}
PREFIX = "files/"


def setup(app):
    # Before Sphinx copies what it takes for downloads.
    app.connect("doctree-read", note_files, priority=100)
    app.connect("doctree-resolved", link_files)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True}


def note_files(app, doctree):
    """A link to a file with text becomes one to its page."""
    document = app.env.current_document.docname
    for node in list(doctree.findall(addnodes.download_reference)):
        path = pathlib.Path(app.srcdir, document).parent / node["reftarget"]
        path = path.resolve()
        if path.suffix not in SUFFIXES:
            continue
        link = nodes.reference("", "", *node.children, internal=True)
        link["file"] = path.relative_to(app.srcdir).as_posix()
        node.replace_self(link)


def link_files(app, doctree, document):
    for node in doctree.findall(nodes.reference):
        if "file" in node:
            page = PREFIX + node["file"]
            node["refuri"] = app.builder.get_relative_uri(document, page)


def pages(app):
    """One page for each file that is linked."""
    documents = map(app.env.get_doctree, app.env.found_docs)
    links = (node for tree in documents for node in tree.findall(nodes.reference))
    for name in sorted({node["file"] for node in links if "file" in node}):
        path = pathlib.Path(app.srcdir, name)
        code = app.builder.highlighter.highlight_block(
            path.read_text(), SUFFIXES[path.suffix], linenos=False
        )
        title = html.escape(name)
        body = f"<h1>{title}</h1>{code}"
        yield PREFIX + name, {"title": title, "body": body}, "page.html"
