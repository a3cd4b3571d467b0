"""The methods that each study of the four papers compares, and CIFAR-100's protocols.

Methods stand by the name of the student, the same on every data set; configs add what
is a data set's own. All are plain dicts, which need JAX and kdjax alone.
"""

from kdjax.experiment import schema

INFINITY = float("inf")
SEEDS = (0, 1, 2)
CE = {"name": "ce"}
MSE = {"name": "mse"}


def kd(temperature: float, alpha: float = 1.0, fix: bool = False) -> dict:
    method = {"name": "kd", "alpha": alpha, "temperature": temperature}
    return method | {"small_temperature_fix": fix}


def temperatures() -> dict[str, dict]:
    """Kim et al. 2021, the table of losses: alpha 1, tau up to infinity, MSE."""
    taus = {f"kd_tau{tau}": kd(float(tau)) for tau in (1, 3, 5, 20)}
    return {"ce": CE, **taus, "kd_inf": kd(INFINITY), "mse": MSE}


def alphas_and_temperatures() -> dict[str, dict]:
    """Kim et al. 2021, the grid over alpha, in percent in the names, and tau."""
    return {
        f"alpha{round(100 * alpha)}_tau{tau:g}": kd(tau, alpha)
        for alpha in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        for tau in (1.0, 3.0, 5.0, 20.0, INFINITY)
    }


def under_noise() -> dict[str, dict]:
    """Kim et al. 2021, noisy labels: small tau, with the factor 1/tau and without."""
    small = {"kd_tau01": kd(0.1, fix=True), "kd_tau05": kd(0.5, fix=True)}
    taus = {f"kd_tau{tau}": kd(float(tau)) for tau in (1, 5, 20)}
    large = {"kd_inf": kd(INFINITY), "mse": MSE}
    return {**small, "kd_tau05_plain": kd(0.5), **taus, **large}


def bad_teacher() -> dict[str, dict]:
    """Kim et al. 2021, teachers that are wrong: small tau with the factor 1/tau."""
    taus = {"tau01": 0.1, "tau05": 0.5, "tau1": 1.0, "tau20": 20.0}
    own = {k: {"name": "noisy_teacher", "temperature": tau} for k, tau in taus.items()}
    return {**own, "mse": MSE}


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


def revisions(temperature: float, **revision: float) -> dict[str, dict]:
    """Lan et al. 2024: label revision, data selection, both, beside KD with labels.

    `revision` are arguments of label revision by squared errors, such as the lambda1 of
    the number of classes, 4 K / 100, which is the default.
    """
    return {
        "kd_labels": kd(temperature, alpha=0.9),
        "lr_mse": {"name": "lr_mse", **revision},
        "lr_kl": {"name": "lr_kl", "temperature": temperature},
        "ds": {"name": "ds", "temperature": temperature},
        "ds_random": {"name": "ds", "temperature": temperature},
        "lr_ds": {"name": "lr_ds", **revision},
        "lr_ds_random": {"name": "lr_ds", **revision},
    }


def selections(reference: str) -> dict[str, dict]:
    """Samples on which students of `revisions` distil: by influence, or at random."""
    influence = {"name": "influence", "reference": reference, "keep_ratio": 0.8}
    chance = {"name": "random", "keep_ratio": 0.8}
    ds = {"ds": influence, "ds_random": chance}
    return {**ds, "lr_ds": influence, "lr_ds_random": chance}


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


def kl_versus_mse_protocol() -> dict:
    """Kim et al. 2021 (arXiv:2105.08919), public code: 200 epochs, step schedule."""
    config = schema.nested()
    config["data"]["name"] = "cifar100"
    schedule = {"name": "step", "learning_rate": 0.1, "milestones": (100.0, 150.0)}
    schedule |= {"factor": 0.1, "warmup_epochs": 0.0}
    return config | {"batch_size": 128, "total_epochs": 200.0, "schedule": schedule}


def repdistiller_protocol() -> dict:
    """Tian et al. 2020 (arXiv:1910.10699), public code: 240 epochs, batches of 64."""
    config = kl_versus_mse_protocol()
    config["data"]["mean"] = (0.5071, 0.4867, 0.4408)
    config["data"]["std"] = (0.2675, 0.2565, 0.2761)
    config["optimizer"] |= {"nesterov": False, "decay_norm_and_bias": True}
    milestones = (150.0, 180.0, 210.0)
    config["schedule"] |= {"learning_rate": 0.05, "milestones": milestones}
    return config | {"batch_size": 64, "total_epochs": 240.0}
