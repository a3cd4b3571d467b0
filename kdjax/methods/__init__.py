"""Methods, one module each: `METHODS[name].build(**numbers)` gives a `Method`.

A module cites its paper, maps the paper's symbols to arguments and says where it
departs from the paper. A new method is a new file and a new line here; importing
registers nothing.
"""

from kdjax.methods import ce, kd, mse
from kdjax.terms import Method

__all__ = ["METHODS", "Method"]

METHODS = {"ce": ce, "kd": kd, "mse": mse}
