"""python -m kdjax select: selects training samples; prints one JSON line.

  python -m kdjax select --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]

`config.select` names the selector: detector (clk, same, fine), influence, oracle,
random. DIR/selection.npz is what `config.data.keep` takes to train on those samples
only, and `config.selection` to use a teacher on them only.
"""

from kdjax import cli
from kdjax.cli import arguments
from kdjax.contracts import InputError, json_text
from kdjax.distributed import collectives, devices, runtime
from kdjax.runner import run
from kdjax.runner.select import read_selection


def main(argv: list[str]) -> int:
    parser = cli.parser("select", __doc__)
    arguments.add_config(parser, workdir="where the selection goes")
    options, config = arguments.parse(parser, argv)
    if not config.select:
        raise InputError(
            "config.select is empty; expected a selector, such as "
            "--config.select.name=detector --config.select.detector=fine "
            "--config.select.proxies=WORKDIR."
        )
    with runtime.joined(options) as processes:
        batch_size = config.evaluation.batch_size
        devices.configure(options.devices, batch_size, processes)
        run.run(config, options.workdir)
        if collectives.is_primary():
            print(json_text(read_selection(options.workdir)))
    return 0
