"""What the charts of these sections share: colours, hover values, their last form."""

from collections.abc import Sequence

from kdjax.analysis.outputs import Compared
from kdjax.contracts import printable
from kdjax.reporting.blocks import Chart

LABEL_WIDTH = 90  # pixels of a class's name on an axis, before it is cut short


def chart(figure, alt: str, caption: str = "") -> Chart:
    """A Chart of an Altair figure: what the page decides is taken out."""
    spec = figure.to_dict(validate=False)  # which takes long; a test does
    for key in ("$schema", "config"):
        spec.pop(key, None)
    return Chart(spec, alt, caption)


def colour(compared: Compared, shown: list[str]):
    """The colour of a network: one in all charts, by the page's own range.

    `shown` are those that the legend has.
    """
    import altair as alt

    look = {"symbolType": "stroke", "symbolOpacity": 1}
    legend = alt.Legend(title=None, values=shown, **look)
    return alt.Color("network:N", legend=legend).scale(domain=list(compared.networks))


def squared(figure, side: int):
    """A figure that is as wide as high, whatever room there is."""
    return figure.properties(width=side, height=side, autosize="pad")


def names_of(class_names: Sequence[str]) -> list[str]:
    """The classes as a reader may see them; no two are the same.

    >>> names_of(["a cat", "a  cat", "dog"])
    ['a cat (0)', 'a cat (1)', 'dog']
    """
    shown = [" ".join(printable(name).split()) for name in class_names]
    return [
        f"{name} ({label})" if shown.count(name) > 1 or not name else name
        for label, name in enumerate(shown)
    ]


def percent(fraction: float) -> str:
    """50 %, which no line break divides."""
    return f"{100 * fraction:.0f}\N{NO-BREAK SPACE}%"


def listed(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
