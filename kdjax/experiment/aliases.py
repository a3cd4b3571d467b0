"""Names that other training scripts have for settings, and the keys they are here."""

from kdjax.contracts import nearest

# Key of a config -> names of it elsewhere, of options of one's own scripts too.
NAMES = {
    "batch_size": "batch bs train_batch_size",
    "accumulation_steps": "gradient_accumulation_steps accum_steps grad_accum",
    "total_epochs": "epochs epoch num_epochs max_epochs n_epochs",
    "total_steps": "steps max_steps num_steps iterations max_iters",
    "schedule.learning_rate": "lr learning_rate base_lr",
    "schedule.warmup_epochs": "warmup warmup_epochs",
    "schedule.name": "scheduler lr_scheduler lr_schedule",
    "optimizer.name": "optim opt",
    "optimizer.weight_decay": "weight_decay wd",
    "optimizer.momentum": "momentum",
    "optimizer.clip_norm": "clip_grad grad_clip clip_norm max_grad_norm",
    "method.name": "distill loss kd_method",
    "method.temperature": "temperature temp tau kd_t",
    "method.alpha": "alpha",
    "method.label_smoothing": "label_smoothing smoothing",
    "model.name": "arch network student model_s student_model",
    "teacher.workdir": "path_t teacher_path teacher_checkpoint teacher_ckpt",
    "data.name": "dataset data_set",
    "data.threads": "workers num_workers",
    "data.mixup": "mixup",
    "data.cutmix": "cutmix",
    "ema_decay": "ema model_ema",
}
# Names elsewhere of the option, and argument, workdir.
WORKDIR = "output_dir out_dir save_dir save_path log_dir logdir run_dir checkpoint_dir"
_KEYS = {name: key for key, names in NAMES.items() for name in names.split()}
MAIN = ("name", "workdir")  # of a section: what says which one it is


def main_key(section) -> str:
    """ "name" or "workdir", if a section has such a key; "" for others."""
    return next((key for key in MAIN if key in section), "")


def described(where: str, value) -> str:
    """What is expected of a key that has this value: its type, or a section's keys.

    >>> described("config.teacher", {"workdir": "", "cache": ""})
    'a section: set config.teacher.workdir'
    """
    if not hasattr(value, "keys"):
        return type(value).__name__
    if main := main_key(value):
        return f"a section: set {where}.{main}"
    keys = ", ".join(value.keys())
    return f"a section: its keys are {keys}" if keys else "a section, {'name': ...}"


def nearest_key(path: str, key: str, section) -> str:
    """The end of an error on a key that a section at a path has not."""
    meant = key_of(key, section) if path == "config" else ""
    return f" Did you mean {meant}?" if meant else nearest(key, sorted(section))


def is_workdir(word: str) -> bool:
    return word.replace("-", "_") in WORKDIR.split()


def key_of(word: str, config) -> str:
    """The dotted key of a nested config that a word means; "" where it means none.

    A section is its main key: "model" is model.name.

    >>> key_of("lr", {}), key_of("batch-size", {"batch_size": 1}), key_of("x", {})
    ('schedule.learning_rate', 'batch_size', '')
    """
    word = word.replace("-", "_")
    first, _, rest = word.partition(".")
    if first not in config:
        return _KEYS.get(word.lower(), "")
    section = config[first]
    if rest or not hasattr(section, "keys"):
        return word
    main = main_key(section)
    return f"{word}.{main}" if main else word
