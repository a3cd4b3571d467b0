"""Methods, one module each: `METHODS[name].build(**numbers)` gives a `Method`.

A module cites its paper, maps the paper's symbols to the arguments of `build` and says
where it departs from the paper. `build` raises ValueError where an argument is outside
its range or a word is not one of those listed; the message names it. A new method is a
new file and a new line here; a module is imported when its method is built.
"""

from kdjax.lazy_import import LazyTable, lazy_package

__all__, __getattr__, __dir__ = lazy_package(__name__, base="Method")
__all__ += ["METHODS"]

METHODS = LazyTable(
    {
        "ce": "kdjax.methods.ce",
        "kd": "kdjax.methods.kd",
        "mse": "kdjax.methods.mse",
        "smooth_l1": "kdjax.methods.smooth_l1",
        "ensemble": "kdjax.methods.ensemble",
        "chain": "kdjax.methods.chain",
        "born_again": "kdjax.methods.born_again",
        "noisy_teacher": "kdjax.methods.noisy_teacher",
        "ka_ps": "kdjax.methods.ka_ps",
        "ka_lsr": "kdjax.methods.ka_lsr",
        "dtd_flsw": "kdjax.methods.dtd_flsw",
        "dtd_cwsm": "kdjax.methods.dtd_cwsm",
        "dtd_la": "kdjax.methods.dtd_la",
        "lr_mse": "kdjax.methods.lr_mse",
        "lr_kl": "kdjax.methods.lr_kl",
        "ds": "kdjax.methods.ds",
        "lr_ds": "kdjax.methods.lr_ds",
        "lskd": "kdjax.methods.lskd",
        "dkd": "kdjax.methods.dkd",
        "dist": "kdjax.methods.dist",
        "reviewkd": "kdjax.methods.reviewkd",
        "ab": "kdjax.methods.ab",
        "ft_paraphraser": "kdjax.methods.ft_paraphraser",
        "ft": "kdjax.methods.ft",
        "ofd": "kdjax.methods.ofd",
        "jacobian": "kdjax.methods.jacobian",
        "cat_kd": "kdjax.methods.cat_kd",
        "simkd": "kdjax.methods.simkd",
        "tickets": "kdjax.methods.tickets",
        "gce": "kdjax.methods.gce",
        "sce": "kdjax.methods.sce",
        "elr": "kdjax.methods.elr",
        "coteaching": "kdjax.methods.coteaching",
        "coteaching_plus": "kdjax.methods.coteaching_plus",
        "dividemix": "kdjax.methods.dividemix",
    }
)
