"""Methods, one module each: `METHODS[name].build(**numbers)` gives a `Method`.

A module cites its paper, maps the paper's symbols to the arguments of `build` and says
where it departs from the paper. `build` raises ValueError where an argument is outside
its range or a word is not one of those listed; the message names it. A new method is a
new file and a new name here; it is imported when it is asked for.
"""

from kdjax.registry import LazyTable, lazy_package

__all__, __getattr__, __dir__ = lazy_package(__name__, base="Method")
__all__ += ["METHODS"]

_NAMES = """
ce kd mse smooth_l1 ensemble chain born_again noisy_teacher
ka_ps ka_lsr dtd_flsw dtd_cwsm dtd_la lr_mse lr_kl ds lr_ds
tickets gce sce elr coteaching coteaching_plus dividemix
"""
METHODS = LazyTable({name: f"kdjax.methods.{name}" for name in _NAMES.split()})
