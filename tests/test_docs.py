"""What the documentation shows runs as it stands, and its links lead somewhere."""

import importlib.util
import re
import subprocess
import urllib.parse

import pytest
import ruff

from kdjax.__main__ import COMMANDS
from kdjax.methods import METHODS
from tests import documented
from tests.documented import NAMES, PAGES, ROOT, blocks, python_blocks, text_of

# A link in brackets, or a picture; in code it is no link.
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.S | re.M)
HEADING = re.compile(r"^#{1,6} (.+)$", re.M)
PIPES = {"text": True, "capture_output": True}
LANGUAGES = {"", "python", "text", "{toctree}"}


def prose_of(page: str) -> str:
    return CODE.sub("", text_of(page))


def anchors_of(page: str) -> list[str]:
    """Of the headings, as GitHub and the site write them."""
    without_code = re.sub(r"^```.*?^```", "", text_of(page), flags=re.S | re.M)
    found = []
    for heading in HEADING.findall(without_code):
        words = re.sub(r"[`\\]|\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        seen = sum(one == slug or one.startswith(f"{slug}-") for one in found)
        found.append(f"{slug}-{seen}" if slug in found else slug)
    return found


@pytest.mark.filterwarnings("default::DeprecationWarning")  # of the other libraries
@pytest.mark.parametrize("page", [name for name in NAMES if python_blocks(name)])
def test_every_block_of_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    documented.run(page, tmp_path)


def test_blocks_say_their_language():
    for page in NAMES:
        for block in blocks(page):
            where = f"{page}:{block.line}"
            assert block.language in LANGUAGES, where
            short = re.search(r"^kdjax ", block.text, re.M)
            assert not short, f"{where}: expected python -m kdjax, which tests type"
            if not block.language:
                hidden = re.search(r"^(import|from \w+ import|def) ", block.text, re.M)
                assert not hidden, f"{where} is Python; expected ```python"
    assert set(PAGES) <= set(NAMES)


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page):
    for target in LINK.findall(prose_of(page)):
        if "://" in target:
            continue
        name, _, anchor = urllib.parse.unquote(target).partition("#")
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.exists(), f"{page} links {target}, which does not exist"
        if anchor:
            there = path.relative_to(ROOT).as_posix()
            assert anchor in anchors_of(there), f"{page} links {target}"


@pytest.mark.parametrize("page", NAMES)
def test_every_command_that_is_shown_exists(page):
    text = text_of(page)
    for code in CODE.findall(text):
        for command in re.findall(r"(?:^|`|python -m )kdjax (\w+)", code, re.M):
            assert command in COMMANDS, f"{page}: kdjax {command}"
    for config in re.findall(r"--config=(configs/[^\s:`]+)", text):
        assert (ROOT / config).exists(), config


def test_every_page_of_docs_is_in_the_site():
    text = "\n".join(block.text for block in blocks("docs/contents.md"))
    listed = set(re.findall(r"^(?:.* <)?([\w./]+)>?$", text, re.M))
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    reference = {f"api/{path.stem}" for path in (ROOT / "docs/api").glob("*.rst")}
    wanted = (pages | reference) - {"index", "contents"}
    assert wanted <= listed, f"docs/contents.md lacks {wanted - listed}"


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate


def test_the_files_of_a_new_method_pass_the_linter():
    # As if the page's module were there; else ruff takes it for another package's.
    ours = ["--config", 'lint.isort.known-first-party = ["kdjax", "tests"]']
    for block in python_blocks("docs/add_a_paper.md"):
        for command in (["check"], ["format", "--check"]):
            words = [*command, *ours, "--stdin-filename", block.file, "-"]
            words = [ruff.find_ruff_bin(), *words]
            found = subprocess.run(words, input=block.text, **PIPES, cwd=ROOT)
            assert block.file and found.returncode == 0, found.stdout + found.stderr


def test_what_is_made_of_the_code_is_up_to_date():
    generate = generator()
    for name, tables in generate.TABLES.items():
        text = text_of(f"docs/{name}")
        assert generate.with_tables(text, tables) == text, "run python docs/generate.py"
    reference = (ROOT / "docs/api/methods.rst").read_text()
    assert generate.reference() == reference, "run python docs/generate.py"
    for name in METHODS:
        assert f"| [`{name}`](../kdjax/methods/{name}.py) |" in text_of(
            "docs/methods.md"
        )


def test_the_page_on_methods_names_methods_that_there_are():
    rows = re.findall(r"^\| .*$", text_of("docs/which_method.md"), re.M)
    named = {name for row in rows for name in re.findall(r"`([a-z_0-9]+)`", row)}
    assert named <= set(METHODS) and len(named) > 40


def test_messages_that_are_explained_are_those_of_the_code():
    """What stands between `...`, numbers and names on the page is in some message."""
    files = (path.read_text() for path in (ROOT / "kdjax").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(files))
    rows = re.findall(r"^\| `([^`]+)`", text_of("docs/troubleshooting.md"), re.M)
    pieces = [
        p.strip() for row in rows for p in re.split(r"\.\.\.|X\.Y|[\d%();:]", row)
    ]
    assert len(rows) > 15
    for piece in pieces:
        assert len(piece) < 12 or piece in code, f"no message has {piece!r}"
