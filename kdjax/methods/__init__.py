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
        "gdkd": "kdjax.methods.gdkd",
        "nkd": "kdjax.methods.nkd",
        "mkl": "kdjax.methods.mkl",
        "rld": "kdjax.methods.rld",
        "rc": "kdjax.methods.rc",
        "ttm": "kdjax.methods.ttm",
        "wttm": "kdjax.methods.wttm",
        "luminet": "kdjax.methods.luminet",
        "ctkd": "kdjax.methods.ctkd",
        "ea_kd": "kdjax.methods.ea_kd",
        "wkd_l": "kdjax.methods.wkd_l",
        "reviewkd": "kdjax.methods.reviewkd",
        "fitnets": "kdjax.methods.fitnets",
        "at": "kdjax.methods.at",
        "sp": "kdjax.methods.sp",
        "nst": "kdjax.methods.nst",
        "kdsvd": "kdjax.methods.kdsvd",
        "vid": "kdjax.methods.vid",
        "cc": "kdjax.methods.cc",
        "wkd_f": "kdjax.methods.wkd_f",
        "fsp": "kdjax.methods.fsp",
        "rkd": "kdjax.methods.rkd",
        "pkt": "kdjax.methods.pkt",
        "crd": "kdjax.methods.crd",
        "mlkd": "kdjax.methods.mlkd",
        "crld": "kdjax.methods.crld",
        "queue_kl": "kdjax.methods.queue_kl",
        "kdcl": "kdjax.methods.kdcl",
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
