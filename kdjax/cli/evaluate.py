"""python -m kdjax evaluate: scores a run's networks; prints one JSON line.

  python -m kdjax evaluate --workdir=DIR [--checkpoint=latest|best|STEP]
                           [--student=NAME] [--split=SPLIT] [--data_dir=DIR]
                           [--weights=ema|raw]
  python -m kdjax evaluate --workdir=DIR --data=NAME [--split=SPLIT] [--subset]
                           [--short_side=256] [--feed=auto|streamed|resident] ...

"best" is each student's own best step by top-1. Of a run with config.ema_decay the
average of the weights is scored, or with --weights=raw what the optimizer trains.
The run's teacher is scored too: with --split=train, 100 less its top1 is the share of
training images on which it is wrong, without crops and by the labels of the data set.

--data names another set, or an .npz file, with the same classes: they are matched by
name, in any order. With --subset it may have some of them, and only those are answers.
Weights that were imported have no test split of their own and need --data. Compare the
result with what their authors published: it shows a wrong network, activation, mean or
deviation.

Images of several sizes (--feed=streamed: ImageNet's, and what is large on disk) are
resized until their shorter side is --short_side and cut to the square in the middle
that the network sees. By default that is 256 for 224, and in that proportion for other
squares; weights that were published with another one, such as 235 for 224, say so.
"""

from kdjax import cli, paths
from kdjax.cli import arguments
from kdjax.contracts import json_text
from kdjax.distributed import collectives, devices, runtime
from kdjax.experiment.builders import allow_code
from kdjax.experiment.sections import FEEDS
from kdjax.runner.evaluate import SplitRequest, evaluate


def main(argv: list[str]) -> int:
    parser = cli.parser("evaluate", __doc__)
    parser.add_argument("--workdir", required=True, help="of the run to score")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    parser.add_argument("--student", default="", help="only this one")
    arguments.add_weights(parser)
    text = "default: the run's test split; with --data, that set's split test"
    parser.add_argument("--split", default="", help=text)
    parser.add_argument("--data", default="", help="another set: its name, or a file")
    text = "let --data have some of the network's classes, and score among those"
    parser.add_argument("--subset", action="store_true", help=text)
    parser.add_argument("--feed", default="auto", choices=FEEDS, help="of --data")
    parser.add_argument("--short_side", type=int, help="of --data, before the crop")
    arguments.add_data(parser)
    options = parser.parse_args(argv)
    images = SplitRequest(*(getattr(options, name) for name in SplitRequest._fields))
    with runtime.joined(options) as processes:
        # Batches are padded, so any number of devices will do.
        devices.configure(options.devices, 0, processes)
        workdir = paths.resolve(options.workdir, "--workdir")
        network = options.checkpoint, options.student, options.weights
        with allow_code(options.allow_code):
            line = evaluate(workdir, images, *network)
        if collectives.is_primary():
            print(json_text(line))
    return 0
