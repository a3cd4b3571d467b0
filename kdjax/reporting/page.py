"""The report page: one self-contained HTML file with the table and the figures."""

import base64
import pathlib

import jinja2

from kdjax.contracts import printable
from kdjax.reporting import figures, results
from kdjax.reporting.files import replace
from kdjax.reporting.results import Result

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid #ddd; text-align: left; }
:is(td, th):nth-child(n+4) { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; }
p.note { color: #555; font-size: .9rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<table>
<thead><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
<p class="note">{{ caption }}</p>
{% for name, data in images %}
<h2>{{ name }}</h2>
<img alt="{{ name }}" src="data:image/png;base64,{{ data }}">
{% endfor %}
</body>
</html>
"""


def write_report(runs: list[Result], output: pathlib.Path, title: str) -> list:
    """Writes index.html and two figures beside it; returns their paths."""
    curves, bars = output / "training_curves.png", output / "accuracy_by_method.png"
    figures.training_curves(runs, curves)
    figures.accuracy_by_method(runs, bars)
    images = [
        (name, base64.b64encode(path.read_bytes()).decode())
        for name, path in (("Accuracy by method", bars), ("Training curves", curves))
    ]
    page = output / "index.html"
    # Names of runs and students may come from anyone.
    environment = jinja2.Environment(autoescape=True, finalize=_finalized)
    template = environment.from_string(TEMPLATE)
    values = {"columns": results.columns(runs), "rows": results.rows(runs)}
    values |= {"title": title, "caption": results.caption(runs), "images": images}
    replace(page, template.render(values))
    return [page, curves, bars]


def _finalized(value):
    return printable(value) if isinstance(value, str) else value
