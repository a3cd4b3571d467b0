"""python -m kdjax export: a network of a run, for others.

  python -m kdjax export WORKDIR --format=safetensors|stablehlo|onnx
                         --output=FILE [--student=NAME]
                         [--checkpoint=latest|best|STEP] [--dtype=TYPE]
                         [--names=LAYOUT] [--pixels] [--weights=ema|raw]
                         [--allow_code=PACKAGE.MODULE:FUNCTION]

Of a run with config.ema_decay the average of the weights is exported, or with
--weights=raw what the optimizer trains.
safetensors: the weights, under names that the `load_state_dict` of a package for
PyTorch takes, or with --names=kdjax under those of this project, as networks of one's
own always are. ResNets: torchvision, which is timm's too. Wide ResNets: repdistiller.
MobileNetV1: mdistiller, or timm where its activation is ReLU6, as timm's is.
MobileNetV2: torchvision, timm. --dtype=float16 halves the file.
stablehlo: the network with its weights as one program for any batch size, to be read
with `jax.export.deserialize`; --dtype is of its activations. onnx: the same of those
networks as an ONNX graph. With --pixels these two take uint8 images and normalise
them, without it images that are normalised; [batch, height, width, channels] all the
same.
How images are normalised and cut, and the names of the classes, stand in the line that
is printed, in the metadata of safetensors (under "kdjax") and in an ONNX file's; a
program without --pixels, and a loader of weights, has to do the same.
The file is read again and its logits are compared before it gets its name. Prints one
JSON line.
"""

from kdjax import cli, paths
from kdjax.cli import arguments
from kdjax.contracts import json_text
from kdjax.distributed import devices
from kdjax.experiment.builders import allow_code
from kdjax.runner.export import FORMATS, export


def main(argv: list[str]) -> int:
    parser = cli.parser("export", __doc__)
    parser.add_argument("workdir", metavar="WORKDIR", help="of the run")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("--student", default="", help="which, if there are several")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    arguments.add_weights(parser)
    parser.add_argument("--dtype", default="", help="default: the network's own")
    parser.add_argument("--names", default="", help="of safetensors: whose to use")
    parser.add_argument("--pixels", action="store_true", help="take uint8 images")
    arguments.add_allow_code(parser)
    options = vars(parser.parse_args(argv))
    workdir = paths.resolve(options.pop("workdir"), "WORKDIR")
    output = paths.resolve(options.pop("output"), "--output")
    devices.configure(1, 1)
    with allow_code(options.pop("allow_code")):
        print(json_text(export(workdir, output, **options)))
    return 0
