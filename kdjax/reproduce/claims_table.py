"""Every claim on the RESULTS.md pages in one table: paper, claim, where, whether held.

The pages are made of stored results; a table with the heading "claim" has a claim and
its verdict in each row, and stands below the command that measured it. A paragraph of
its section that begins with "Older settings:" names methods whose rows no present
config gives: they are counted separately.
"""

import pathlib
import re
from typing import NamedTuple

from kdjax.methods import METHODS
from kdjax.reproduce import pages

ARXIV = re.compile(r"arXiv:\s*(\d{4}\.\d{5})")
COMMAND = re.compile(r"`(python -m kdjax reproduce [^`]*)`")
SUFFIX = re.compile(
    r"(_(sets|batch|small|random|plain|labels|strong|wrong|inf|tau\d+))+$"
)
# Words of claims that no method has for a name, and whose claims they are: detectors'
# are those of "Winning Ticket in Noisy Image Classification".
WORDS = dict.fromkeys(("clk", "same", "fine", "retraining"), "tickets")
WORDS |= dict.fromkeys(("tau", "logit", "kd_inf"), "mse")
VERDICTS = ("held", "held in the mean", "did not hold", "one seed")
OLDER, OWN = "older settings", "own checks"
# Variants and comparisons that no paper claims anything of.
OF_OURS = re.compile(r"lr_mse_strong|lr_kl_wrong|ka_lsr_tau1|dtd_la_small|keep-all")
NOT_MEASURED = re.compile(r"^(Nothing( of this)?|No student) is measured yet\.$", re.M)


class Claim(NamedTuple):
    """A row of a page."""

    method: str  # of METHODS, whose paper it is
    claim: str
    verdict: str
    title: str  # of the section
    page: pathlib.PurePosixPath  # from the root of the repository
    command: str
    note: str = ""  # of the section, where the row is of older settings

    @property
    def is_own(self) -> bool:
        return bool(OF_OURS.search(self.claim))


def paper(method: str) -> str:
    """Of a method: its reference, with the first number that its docstring names."""
    module = METHODS[method]
    number = ARXIV.search(module.__doc__)
    link = f", [{number[1]}](https://arxiv.org/abs/{number[1]})" if number else ""
    return f"{module.REFERENCE.partition(';')[0]}{link}"


def method_of(claim: str) -> str:
    """The method whose paper makes a claim: of the first word that names one.

    >>> method_of("0.4: F1 of clk above keep-all"), method_of("kd_tau20 beats ce")
    ('tickets', 'mse')
    """
    for word in re.findall(r"[a-z_0-9]+", claim.lower()):
        if word.startswith("kd_tau") or word in WORDS:
            return WORDS.get(word, "mse")
        base = SUFFIX.sub("", word)
        if base in METHODS:
            return base
    raise ValueError(f"{claim!r} names no method; expected one of METHODS or WORDS.")


def read(root: pathlib.Path) -> list[Claim]:
    """The claims of all pages below `root`, which is the repository's."""
    claims = []
    for path in sorted(root.glob("configs/*/RESULTS.md")):
        page = pathlib.PurePosixPath(path.relative_to(root).as_posix())
        title, command, note, inside = "", "", "", False
        for line in path.read_text().splitlines():
            if line.startswith("#"):
                title, note = line.lstrip("#").strip(), ""
            if line.lower().startswith(f"{OLDER}:"):
                note = line
            if named := COMMAND.search(line):
                command = named[1]
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if not line.startswith("|"):
                inside = False
            elif cells[0].startswith("claim"):
                inside = True
            elif inside and not line.startswith("|---"):
                claim, verdict = (cell.replace("\\", "") for cell in cells)
                method = method_of(claim)
                row = method, claim, verdict, title, page, command
                claims.append(Claim(*row, note if f"`{method}`" in note else ""))
    return claims


def tables(root: pathlib.Path) -> str:
    """Markdown for a page in docs/: a summary, then all claims, paper by paper."""
    by_set, by_paper = {}, {}
    for claim in read(root):
        name = paper(claim.method)
        by_set.setdefault((name, claim.page.parent.name), []).append(claim)
        sections = by_paper.setdefault(name, {})
        sections.setdefault((_link(claim), claim.command), []).append(claim)
    heads = ("Paper", "Study", "Claims", *VERDICTS, OLDER, OWN)
    rows = [(*key, len(held), *_counts(held)) for key, held in by_set.items()]
    text = [_table(heads, rows)]
    for name, sections in by_paper.items():
        text.append(f"## {name.partition(', [')[0]}")
        for (link, command), claims in sections.items():
            cells = [map(pages.plain, (c.claim, _shown(c))) for c in claims]
            head = ("Claim (mean difference)", "Here")
            notes = dict.fromkeys(claim.note for claim in claims if claim.note)
            text += [f"{link}, `{command}`:", *notes, _table(head, cells)]
    lines = [f"- {line}" for line in _not_measured(root)]
    return "\n\n".join([*text, "## Not measured yet", "\n".join(lines)]) + "\n"


def _counts(rows: list[Claim]) -> list[int]:
    """How many have each verdict, are older, and are checks of our own.

    "held" is not "held in the mean".
    """
    now = [row.verdict for row in rows if not (row.note or row.is_own)]
    firsts = [one.partition(",")[0].partition(" throughout")[0] for one in now]
    own = sum(row.is_own and not row.note for row in rows)
    return [*map(firsts.count, VERDICTS), len(rows) - len(now) - own, own]


def _shown(claim: Claim) -> str:
    own = " (own check)" * claim.is_own
    return claim.verdict + f" ({OLDER})" * bool(claim.note) + own


def _link(claim: Claim) -> str:
    words = re.sub(r"[`\\]", "", claim.title).lower()
    anchor = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
    title = claim.title.partition(" (`")[0]
    return f"[{claim.page.parent.name}: {title}](../{claim.page}#{anchor})"


def _not_measured(root: pathlib.Path) -> list[str]:
    """Sections of pages that have no result yet."""
    lines = []
    for path in sorted(root.glob("configs/*/RESULTS.md")):
        for section in re.split(r"^(?=#{1,3} )", path.read_text(), flags=re.M):
            if NOT_MEASURED.search(section):
                title = section.splitlines()[0].lstrip("# ")
                page = path.relative_to(root).as_posix()
                lines.append(f"[{path.parent.name}](../{page}): {title}")
    return lines


def _table(columns, rows) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])
