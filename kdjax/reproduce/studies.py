"""The methods that each study of the four papers compares, by the name of the student.

The same on every data set; the configs beside each set's `common.py` add networks and
protocol.
"""

INFINITY = float("inf")
SEEDS = (0, 1, 2)
CE = {"name": "ce"}
MSE = {"name": "mse"}


def kd(temperature: float, alpha: float = 1.0, fix: bool = False) -> dict:
    return {
        "name": "kd",
        "alpha": alpha,
        "temperature": temperature,
        "small_temperature_fix": fix,
    }


def temperatures() -> dict[str, dict]:
    """Kim et al. 2021, the table of losses: alpha 1, tau up to infinity, MSE."""
    return {
        "ce": CE,
        "kd_tau1": kd(1.0),
        "kd_tau3": kd(3.0),
        "kd_tau5": kd(5.0),
        "kd_tau20": kd(20.0),
        "kd_inf": kd(INFINITY),
        "mse": MSE,
    }


def alphas_and_temperatures() -> dict[str, dict]:
    """Kim et al. 2021, the grid over alpha, in percent in the names, and tau."""
    return {
        f"alpha{round(100 * alpha)}_tau{tau:g}": kd(tau, alpha)
        for alpha in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        for tau in (1.0, 3.0, 5.0, 20.0, INFINITY)
    }


def under_noise() -> dict[str, dict]:
    """Kim et al. 2021, noisy labels: small tau, with the factor 1/tau and without."""
    return {
        "kd_tau01": kd(0.1, fix=True),
        "kd_tau05": kd(0.5, fix=True),
        "kd_tau05_plain": kd(0.5),
        "kd_tau1": kd(1.0),
        "kd_tau5": kd(5.0),
        "kd_tau20": kd(20.0),
        "kd_inf": kd(INFINITY),
        "mse": MSE,
    }


def bad_teacher() -> dict[str, dict]:
    """Kim et al. 2021, teachers that are wrong: small tau with the factor 1/tau."""
    taus = {"tau01": 0.1, "tau05": 0.5, "tau1": 1.0, "tau20": 20.0}
    methods = {
        name: {"name": "noisy_teacher", "temperature": tau}
        for name, tau in taus.items()
    }
    return {**methods, "mse": MSE}


def adjustments(temperature: float, spread: float) -> dict[str, dict]:
    """Wen et al. 2021 beside plain KD at the same temperature, no labels."""
    confusion = {"base": temperature, "spread": spread, "gamma": 1.0}
    return {
        "kd": kd(temperature),
        "ka_ps": {"name": "ka_ps", "temperature": temperature},
        "ka_lsr": {"name": "ka_lsr", "temperature": temperature, "epsilon": 0.1},
        "dtd_flsw": {"name": "dtd_flsw", **confusion},
        "dtd_cwsm": {"name": "dtd_cwsm", "base": temperature},
        "dtd_la": {"name": "dtd_la", **confusion},
    }


def revisions(temperature: float) -> dict[str, dict]:
    """Lan et al. 2024: label revision, data selection, both, beside KD with labels."""
    return {
        "kd_labels": kd(temperature, alpha=0.9),
        "lr_mse": {"name": "lr_mse"},
        "lr_kl": {"name": "lr_kl", "temperature": temperature},
        "ds": {"name": "ds", "temperature": temperature},
        "ds_random": {"name": "ds", "temperature": temperature},
        "lr_ds": {"name": "lr_ds"},
        "lr_ds_random": {"name": "lr_ds"},
    }


def selections(reference: str) -> dict[str, dict]:
    """Samples on which students of `revisions` distil: by influence, or at random."""
    influence = {"name": "influence", "reference": reference, "keep_ratio": 0.8}
    chance = {"name": "random", "keep_ratio": 0.8}
    return {
        "ds": influence,
        "ds_random": chance,
        "lr_ds": influence,
        "lr_ds_random": chance,
    }


def repdistiller() -> dict[str, dict]:
    """By RepDistiller's protocol: KD, and what papers on logits put in its place."""
    confusion = {"base": 10.0, "spread": 40.0, "gamma": 1.0, "confusion": "flsw"}
    revision = {"lambda1": 4.0, "lambda2": 1.0, "eta": 0.8}
    return {
        "kd": {"name": "kd", "alpha": 0.9, "temperature": 4.0},
        "dtd_la": {"name": "dtd_la", **confusion, "adjustment": "shift_first"},
        "lr_mse": {"name": "lr_mse", **revision},
        "lr_ds": {"name": "lr_ds", **revision},
    }
