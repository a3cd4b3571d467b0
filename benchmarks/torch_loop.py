"""PyTorch as a contestant: distillation as its users write it.

python -m benchmarks.torch_loop --variant=plain   # then {"steps": 20}, Enter

  plain   eager float32, NCHW; a DataLoader with workers crops, flips and normalises
  best    the set on the device, batched augmentation, channels_last, torch.compile,
          fused optimizer, TF32 where the device has it
  amp     best with mixed precision; for devices that have bfloat16 or float16 units

In each: the teacher forward in every step under no_grad, one student, cross entropy and
softened KL, SGD with Nesterov momentum, no decay on norms and biases.
"""

import argparse
import contextlib
import functools
import pathlib

import torch
import torch.nn.functional as F

from benchmarks import flags, torch_data, worker
from benchmarks.torch_nets import network

VARIANTS = ("plain", "best", "amp")
SEED = 0


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add(parser)
    parser.add_argument("--variant", choices=VARIANTS, default="plain")
    parser.add_argument("--workers", type=int, default=min(8, flags.cores()))
    parser.add_argument("--platform", choices=("cpu", "cuda"), help="default: the best")
    parser.add_argument("--images", type=int, help="of noise; default: as kdjax")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True
    )
    options = parser.parse_args(argv)
    worker.serve(functools.partial(start, options))


def start(options):
    torch.manual_seed(SEED)
    torch.set_num_threads(flags.cores())
    device = torch.device(options.platform or default_platform())
    torch.backends.cudnn.benchmark = True
    precision = low_precision(device) if options.variant == "amp" else None
    if options.variant == "amp" and precision is None:
        raise worker.Unavailable("the device has no units for 16 bits")
    if options.variant != "plain":
        torch.set_float32_matmul_precision("high")
    images = options.images or flags.images(options.image_size)
    images = max(images, options.batch_size)
    data = torch_data.noise(images, options.image_size, options.classes)
    step, notes = warmed_up(options, data, device, precision)

    def run(steps):
        for _ in range(steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    cuda = device.type == "cuda"
    kind = torch.cuda.get_device_name() if cuda else f"{flags.cores()} threads"
    description = {
        "students": 1,
        "dtype": str(precision or torch.float32).removeprefix("torch."),
        "platform": device.type,
        "device": kind,
        "version": f"torch {torch.__version__}",
        "notes": notes,
    }
    return description, run


def warmed_up(options, data, device, precision):
    """(a step, notes); without the compiler where none works."""
    wanted = options.compile and options.variant != "plain"
    notes = (
        []
        if wanted or options.variant == "plain"
        else ["not compiled, by --no-compile"]
    )
    step = Trainer(options, data, device, precision, wanted)
    if wanted:
        try:
            step()
        except Exception as error:  # dynamo, inductor and the C++ compiler have many
            first = str(error).strip().splitlines()[:1]
            notes.append(
                f"not compiled: {type(error).__name__}: {''.join(first)[:200]}"
            )
            step = Trainer(options, data, device, precision, False)
    return step, notes


class Trainer:
    """One step of distillation a call."""

    def __init__(self, options, data, device, precision, compiled):
        plain = options.variant == "plain"
        layout = torch.contiguous_format if plain else torch.channels_last
        teacher, self.student = (
            network(name, options.classes).to(device, memory_format=layout)
            for name in flags.networks(options.pair)
        )
        self.teacher = teacher.eval().requires_grad_(False)
        self.device, self.precision = device, precision
        self.optimizer = optimizer_of(self.student, fused=not plain)
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=precision == torch.float16
        )
        self.objective = torch.compile(self.loss) if compiled else self.loss
        self.batches = (
            torch_data.loader(*data, options, device)
            if plain
            else iter(torch_data.OnDevice(*data, options, device))
        )

    def loss(self, images, labels):
        with torch.no_grad():
            teacher_outputs = self.teacher(images)
        return kd_loss(self.student(images), teacher_outputs, labels)

    def __call__(self):
        images, labels = next(self.batches)
        with autocast(self.device, self.precision):
            loss = self.objective(images, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss


def kd_loss(student, teacher_outputs, labels):
    """(1 - alpha) CE + alpha tau^2 KL, mean over the batch (arXiv:1503.02531)."""
    tau, alpha = flags.TEMPERATURE, flags.ALPHA
    student, teacher_outputs = student.float(), teacher_outputs.float()
    soft = F.kl_div(
        F.log_softmax(student / tau, 1),
        F.softmax(teacher_outputs / tau, 1),
        reduction="batchmean",
    )
    return (1 - alpha) * F.cross_entropy(student, labels) + alpha * tau**2 * soft


def optimizer_of(model, fused):
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(
        groups,
        lr=flags.LEARNING_RATE,
        momentum=flags.MOMENTUM,
        weight_decay=flags.WEIGHT_DECAY,
        nesterov=True,
        fused=fused or None,
    )


def default_platform():
    return "cuda" if torch.cuda.is_available() else "cpu"


def low_precision(device):
    """The 16-bit type that the device has units for, or None."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    info = pathlib.Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    return torch.bfloat16 if words & {"avx512_bf16", "amx_bf16"} else None


def autocast(device, precision):
    if precision is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)


if __name__ == "__main__":
    main()
