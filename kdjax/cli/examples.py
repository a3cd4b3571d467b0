r"""Commands to begin with, two or three of each; --help shows them first.

Where one goes on in a second line, the first ends with a backslash. A line has 68
letters at most, so that it fits a terminal as `python -m kdjax`, too.
"""

TEACHER = "train --config=configs/fashion_mnist/teacher.py \\\n"
TEACHER += "    --workdir=runs/teacher"
KD = "--config=configs/fashion_mnist/kd.py"
OF_TEACHER = "--config.teacher.workdir=runs/teacher"

ALL = (
    f"kdjax {TEACHER}",
    f"kdjax train {KD} --workdir=runs/kd \\\n    {OF_TEACHER}",
    "kdjax report runs/teacher runs/kd --output=runs/report",
)
EXAMPLES = {
    "train": (
        f"kdjax {TEACHER}",
        f"kdjax train {KD} --workdir=runs/kd \\\n    {OF_TEACHER}",
        "kdjax train --config=configs/cifar100/tickets.py --help",
    ),
    "sweep": (
        f"kdjax sweep {KD} \\\n    --workdir=runs/grid {OF_TEACHER} \\\n"
        "    --grid.method.temperature=1,4,20 --grid.seed=0,1,2",
        f"kdjax sweep {KD} \\\n    --workdir=runs/grid {OF_TEACHER} --dry_run",
    ),
    "cache": (
        f"kdjax cache {KD} \\\n    --workdir=runs/outputs {OF_TEACHER}",
        f"kdjax cache {KD} \\\n    --workdir=runs/outputs {OF_TEACHER} --verify",
    ),
    "evaluate": (
        "kdjax evaluate --workdir=runs/kd",
        "kdjax evaluate --workdir=runs/kd --checkpoint=best --split=train",
        "kdjax evaluate --workdir=runs/kd --data=other.npz",
    ),
    "select": (
        "kdjax select --config=configs/fashion_mnist/teacher.py \\\n"
        "    --workdir=runs/selection --config.select.name=random \\\n"
        "    --config.select.keep_ratio=0.5",
    ),
    "analyse": (
        "kdjax analyse runs/kd --output=runs/analysis",
        "kdjax analyse runs/kd runs/mse --output=runs/analysis --split=test",
    ),
    "import": (
        "kdjax import resnet18.pth --workdir=runs/resnet18 \\\n"
        "    --model=resnet18 --image_shape=224,224,3 \\\n"
        "    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225",
    ),
    "export": (
        "kdjax export runs/kd --format=safetensors --output=kd.safetensors",
        "kdjax export runs/kd --format=onnx --output=kd.onnx --pixels",
    ),
    "prepare": (
        "kdjax prepare cifar100 --data_dir=data",
        "kdjax prepare my_images --folder=photographs --data_dir=data",
    ),
    "bench": (
        "kdjax bench --pair=wrn_28_4:wrn_16_2 --batch_size=128",
        "kdjax bench --pair=wrn_40_2:wrn_16_2 --students=1,8 --dtype=bfloat16",
        "kdjax bench --input-only --help",
    ),
    "bench --input-only": (
        "kdjax bench --input-only --images=400x350 --size=224",
        "kdjax bench --input-only --data=imagenet2012 --threads=1,4",
    ),
    "compile": (
        "kdjax compile --pair=resnet34:resnet18 --image_size=224 \\\n"
        "    --classes=1000 --batch_size=4096 --topology=v5e:4x4",
        f"kdjax compile {KD} \\\n    --teacher=resnet20",
    ),
    "doctor": ("kdjax doctor", "kdjax doctor runs/kd", "kdjax doctor data --quick"),
    "report": ("kdjax report runs/teacher runs/kd --output=runs/report",),
    "reproduce": (
        "kdjax reproduce fashion_mnist --config.total_epochs=4",
        "kdjax reproduce cifar100 --data_dir=data --plan",
        "kdjax reproduce cifar100 --data_dir=data --seeds=0,1,2",
    ),
}
