"""python -m kdjax import: weights from elsewhere, as a teacher of this project.

  python -m kdjax import FILE --workdir=DIR --model=NAME --image_shape=H,W,C
                         --mean=R,G,B --std=R,G,B [--student=NAME]
                         [--classes=FILE] [--dtype=bfloat16] [--key=NAME]
                         [--prefix=NAME]

FILE is .safetensors, or PyTorch's .pth, .pth.tar, .pt, .th, .ckpt or .bin where PyTorch
is installed. It holds a ResNet with torchvision's names, which are timm's too; a CIFAR
ResNet with those of the published CIFAR-10 checkpoints, whose shortcuts have no
parameters; a MobileNet with the names of timm, torchvision or the distillation
benchmarks; a network of the benchmark on CIFAR-100 as RepDistiller and mdistiller
publish its teachers (resnet*, wrn_*, vgg*, and their ResNet50, MobileNetV2, ShuffleV1
and ShuffleV2, here resnet50_cifar, mobilenet_v2_half, shufflenet_v1 and shufflenet_v2);
or what `export` wrote. Students name DIR in --config.teacher.workdir.

Of a checkpoint with several weights, such as those of a training and their average,
--key=NAME says which: state_dict or state_dict_ema, model or model_ema. The network is
found below any prefix of the names of its tensors, such as module., _orig_mod. or
model.; where several networks are what --model names, as a student and its teacher may
be, --prefix=module.student says which. Nothing in a file is run.

Mean and standard deviation, of pixels from 0 to 1, are those with which the weights
were trained; students may have their own. Where students see images of another size,
their config says --config.teacher.input_size=H,W. --classes names a text file with the
names of the network's classes, one a line: students may have them in another order, or
only some of them. In bfloat16, for accelerators, the teacher's activations take half of
the memory; its weights stay as they are. Prints one JSON line, and the line of
`evaluate` that checks the teacher: weights of another network can have the same names.
"""

import sys

from kdjax import cli, paths
from kdjax.contracts import InputError, json_text
from kdjax.distributed import devices
from kdjax.paths.files import local_copy
from kdjax.reporting.console import say
from kdjax.runner.import_weights import import_weights


def main(argv: list[str]) -> int:
    parser = cli.parser("import", __doc__)
    parser.add_argument("file", metavar="FILE", help="the weights")
    parser.add_argument("--workdir", required=True, help="directory of the teacher")
    parser.add_argument("--model", required=True, help="its architecture: resnet50")
    parser.add_argument("--image_shape", required=True, help="224,224,3")
    parser.add_argument("--mean", required=True, help="of each channel: 0.5,0.5,0.5")
    parser.add_argument("--std", required=True, help="of each channel")
    parser.add_argument("--student", default="", help="its name; default: the model's")
    parser.add_argument("--classes", default="", help="text file: a name on each line")
    parser.add_argument("--key", default="", help="of a .pth with several weights")
    text = "of the names of its tensors, where a file has several networks"
    parser.add_argument("--prefix", help=text)
    parser.add_argument("--dtype", default="float32", help="of its activations")
    options = vars(parser.parse_args(argv))
    for flag, kind in (("image_shape", int), ("mean", float), ("std", float)):
        text = options[flag]
        try:
            options[flag] = tuple(kind(part) for part in text.split(","))
        except ValueError as error:
            raise InputError(
                f"--{flag} is {text!r}; expected numbers with commas between."
            ) from error
    file = paths.parse(options.pop("file"), "FILE")
    given = options.pop("workdir")
    workdir = paths.resolve(given, "--workdir")
    devices.configure(1, 1)
    if paths.is_url(file) and not file.is_file():
        raise InputError(f"FILE is {str(file)!r}, and there is no such file.")
    with local_copy(file) as copy:
        line = import_weights(copy, workdir, **options)
    print(json_text(line))
    # The one check that finds a wrong network, activation, mean or deviation.
    data = "imagenet2012 --split=validation" if line["classes"] == 1000 else "NAME"
    check = f"python -m kdjax evaluate --workdir={given} --data={data}"
    say(f"Compare it with what is published: {check}", sys.stderr)
    return 0
