"""Words that were retired stay so: names in the package, phrases in texts and pages.

A name is for the thing itself, in the field's words; CONTRIBUTING.md says more.
"""

import ast
import io
import pathlib
import re
import tokenize

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MODULES = sorted((ROOT / "kdjax").rglob("*.py"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")),
    *(
        p
        for d in ("docs", "configs", "launch", "benchmarks")
        for p in ROOT.glob(f"{d}/**/*.md")
    ),
]
# Retired name -> the name in its place.
NAMES = {
    **dict.fromkeys("told found known made".split(), "metrics, record, summary ..."),
    **dict.fromkeys("gone there begun".split(), "missing, existing, start ..."),
    **dict.fromkeys("asked Asked as_asked".split(), "request"),
    **dict.fromkeys("said seen".split(), "outputs"),
    **dict.fromkeys("heard chosen".split(), "on_selected"),
    **dict.fromkeys("piece pieces".split(), "time_slice"),
    **dict.fromkeys("picture pictures".split(), "images"),
    "who": "identity",
    "teller": "reporter",
    "keeper": "checkpointer",
    "ticket": "batch_spec",
    "taught": "teacher_outputs",
    "materialise": "gather_batch",
    "warmth": "temperature_state",
    "Refresh": "SelectionSchedule",
    "Kept": "SelectionResult",
    "judge": "compute_loss",
    "objective_of": "compute_loss",
    "descend": "apply_gradients",
    "label_where_silent": "label_unselected",
    "label_the_rest": "with_label_fallback",
    "is_first": "is_primary",
    "Place": "ProcessInfo",
    "Apart": "RendezvousError",
    "apart": "distance, distinct",
    "Lost": "PeerLostError",
    "agreed": "should_stop",
    "forgive": "reset_failed",
    "Traces": "MemoryInputs",
    "Views": "LossInputs",
    "Absent": "DatasetSpec",
    "drawn": "synthetic",
}
PHRASES = re.compile(
    r"\b(hears? (its|their|the|a) teacher|(is|are|was|were|not) heard|tellers?|keepers?"
    r"|told|taught|pieces?|pictures?|what (a|the|its) teacher (said|says|tells?)"
    r"|label_where_silent|label_the_rest)\b",
    re.IGNORECASE,
)
# A batch was a ticket; a selection of clean samples is one, by its paper's name, and
# `tickets` is the method of that paper.
TICKETS = re.compile(r"\btickets?\b", re.IGNORECASE)
WINNING = re.compile(
    r"winning\s+tickets?|tickets\.py|methods\.tickets|def tickets", re.IGNORECASE
)
# Keys and names that earlier versions wrote to disk.
ON_DISK = {"asked", "found", "notes", "pieces.jsonl", "pictures", "--pictures"}


def names(source):
    """(line, name) of everything that is named: variables, attributes, arguments ..."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield getattr(node, "lineno", 0), name.split(".")[-1]


def texts(source):
    """(line, text) of every string, and of every comment with all its lines."""
    inside = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inside.update(map(id, node.values))
            constants = [v for v in node.values if isinstance(v, ast.Constant)]
            yield node.lineno, "{}".join(v.value for v in constants)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in inside and node.value not in ON_DISK:
                yield node.lineno, node.value
    start, lines = 0, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if lines and token.start[0] != start + len(lines):
                yield start, " ".join(lines)
                lines = []
            start = start if lines else token.start[0]
            lines.append(token.string.lstrip("# "))
    yield start, " ".join(lines)


def retired_phrases(text, tickets=True):
    """Every retired phrase, also where a line ends within it."""
    text = re.sub(r"\s+", " ", text)
    phrases = [match[0] for match in PHRASES.finditer(text)]
    return phrases + (TICKETS.findall(text) if tickets else [])


def test_no_retired_name_in_the_package():
    hits = [
        f"{path.relative_to(ROOT)}:{line} {name}; use {NAMES[name]}"
        for path in MODULES
        for line, name in names(path.read_text())
        if name in NAMES
    ]
    assert not hits, f"{len(hits)} retired names:\n" + "\n".join(hits)


def test_no_retired_phrase_in_texts_of_the_package():
    hits = []
    for path in MODULES:
        source = path.read_text()
        tickets = not WINNING.search(source)
        for line, text in texts(source):
            for phrase in retired_phrases(text, tickets):
                hits.append(f"{path.relative_to(ROOT)}:{line} {phrase!r}")
    assert not hits, f"{len(hits)} retired phrases:\n" + "\n".join(hits)


def test_no_retired_phrase_in_pages():
    hits = []
    for path in PAGES:
        text = path.read_text()
        for phrase in retired_phrases(text, not WINNING.search(text)):
            hits.append(f"{path.relative_to(ROOT)}: {phrase!r}")
    assert not hits, f"{len(hits)} retired phrases:\n" + "\n".join(hits)


SOURCE = """
def run(told, *, keeper=None):  # A student
    # of those here
    # hears its
    # teacher say
    text = f"{told} was {keeper.seen} " "told"  # in pieces
    return {"found": text, "a": "a ticket of a detector"}
"""


def test_what_is_searched():
    retired = [name for _, name in names(SOURCE) if name in NAMES]
    assert sorted(retired) == ["keeper", "keeper", "seen", "told", "told"]
    hits = [(line, p) for line, text in texts(SOURCE) for p in retired_phrases(text)]
    assert sorted(hits) == [
        *[(2, "hears its teacher"), (2, "pieces"), (6, "told"), (7, "ticket")]
    ]


@pytest.mark.parametrize(
    "text, phrases",
    [
        ("tickets of a batch", ["tickets"]),
        ("is\n heard; piecewise, picturesque", ["is heard"]),
        ("Stopped in pieces", ["pieces"]),
        ("a pure function of both", []),
    ],
)
def test_phrases(text, phrases):
    assert retired_phrases(text) == phrases
