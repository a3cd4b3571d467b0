"""Methods, one module each: `METHODS[name].build(**numbers)` gives a `Method`.

A module cites its paper, maps the paper's symbols to arguments and says where it
departs from the paper. A new method is a new file and a new line here; importing
registers nothing.
"""

from kdjax.methods import (
    born_again,
    ce,
    chain,
    coteaching,
    coteaching_plus,
    dividemix,
    ds,
    dtd_cwsm,
    dtd_flsw,
    dtd_la,
    elr,
    ensemble,
    gce,
    ka_lsr,
    ka_ps,
    kd,
    lr_ds,
    lr_kl,
    lr_mse,
    mse,
    noisy_teacher,
    sce,
    smooth_l1,
    tickets,
)
from kdjax.methods.base import Method

__all__ = ["METHODS", "Method"]

METHODS = {
    "ce": ce,
    "kd": kd,
    "mse": mse,
    "ka_ps": ka_ps,
    "ka_lsr": ka_lsr,
    "dtd_flsw": dtd_flsw,
    "dtd_cwsm": dtd_cwsm,
    "dtd_la": dtd_la,
    "smooth_l1": smooth_l1,
    "ensemble": ensemble,
    "chain": chain,
    "born_again": born_again,
    "noisy_teacher": noisy_teacher,
    "lr_mse": lr_mse,
    "lr_kl": lr_kl,
    "ds": ds,
    "lr_ds": lr_ds,
    "tickets": tickets,
    "gce": gce,
    "sce": sce,
    "elr": elr,
    "coteaching": coteaching,
    "coteaching_plus": coteaching_plus,
    "dividemix": dividemix,
}
