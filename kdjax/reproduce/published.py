"""What was published for the rows of each study, in percent, and how that is known.

Study -> name of the pair's student -> name of the row -> (value, where it is from).
"""

RECALLED = "paper, recalled and not verified"
README = "RepDistiller's README"
TRANSCRIBED = (
    '"LR" in arXiv:2408.07703, mean of 3 runs, read in a transcription, not verified'
)
TITLES = {
    "cifar100": '"KL versus MSE" (Kim et al. 2021) at alpha 1',
    "repdistiller": "RepDistiller's protocol",
}
# What the words in the tables mean.
LEGEND = {
    "cifar100": "Source: the paper's table of losses; the draft is an earlier "
    'manuscript in the authors\' repository, which was read; "paper and draft" have '
    "the same value.",
    "repdistiller": "Source: the last epoch is reported, as here.",
}
PUBLISHED = {
    "cifar100": {
        "wrn_16_2": {
            "teacher": ("77.93", "draft, best of 3 runs"),
            "ce": ("72.68", "paper and draft, quoted there; own run: 72.56"),
            "kd_tau1": ("72.90", "paper and draft"),
            "kd_tau3": ("74.24", "paper and draft"),
            "kd_tau5": ("74.88", "paper and draft"),
            "kd_tau20": ("75.15", f"{RECALLED}; the draft has 75.76"),
            "kd_inf": ("75.51", "paper and draft"),
            "mse": ("75.54", RECALLED),
        },
    },
    "repdistiller": {
        "resnet20": {
            "teacher": ("72.34", README),
            "ce": ("69.06", README),
            "kd": ("70.66", README),
            "lr_mse": ("70.74", TRANSCRIBED),
        },
        "wrn_16_2": {
            "teacher": ("75.61", README),
            "ce": ("73.26", README),
            "kd": ("74.92", README),
        },
    },
}
