"""State dicts as trainers leave them: below prefixes, several at once, odd tensors."""

import json

import jax
import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.weights import imported, prefixes, safetensors, trees
from tests.weights import numpy_resnet

pytest.importorskip("safetensors")
pytestmark = pytest.mark.usefixtures("as_they_are")

PREFIXES = {
    "DataParallel": "module.",
    "compiled": "_orig_mod.",
    "compiled, then distributed": "module._orig_mod.",
    "distributed, then compiled": "_orig_mod.module.",
    "Lightning": "model.",
    "a student": "module.student.",
}
WORDS = ["--model=resnet8", "--image_shape=8,8,1", "--mean=0.5", "--std=0.5"]
PLAIN = numpy_resnet.draw(1, head="fc", projection="downsample")
TEACHER = numpy_resnet.draw(2, head="fc", projection="downsample")
WIDE = numpy_resnet.draw(3, head="fc", projection="downsample", widths=(32, 64, 128))


def below(prefix, tensors):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def given(tmp_path, tensors, name="x.safetensors"):
    safetensors.write(tmp_path / name, tensors, {"format": "pt"})
    return [str(tmp_path / name), f"--workdir={tmp_path / 'w'}", *WORDS]


def digest(tmp_path):
    directory = tmp_path / "w" / "checkpoints"
    return checkpoints.digest(checkpoints.read_variables(directory, 0, "resnet8"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The digest of what is imported without any prefix."""
    root = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        assert main(["import", *given(root, PLAIN)]) == 0
    return digest(root)


def found(tensors, prefix=None):
    """What is found of a ResNet-8 for ten classes; its shapes are PLAIN's."""
    wanted = read_plain().variables
    return prefixes.find(
        "f", tensors, prefix, lambda own, _: trees.to_variables("f", own, wanted)
    )


def read_plain():
    from kdjax.models import create

    network = create("resnet8", num_classes=10)
    images = jax.ShapeDtypeStruct((1, 8, 8, 1), np.float32)
    wanted = jax.eval_shape(network.init, jax.random.key(0), images)
    return trees.to_variables("f", PLAIN, wanted)


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_the_network_is_found_below_any_prefix(prefix):
    one = found(below(prefix, PLAIN))
    assert (one.prefix, one.classes, one.others) == (prefix, 10, 0)
    jax.tree.map(
        np.testing.assert_array_equal, one.read.variables, read_plain().variables
    )


def test_what_is_beside_it_is_left(tmp_path, plain, capsys):
    whole = below("module.student.", PLAIN) | below("module.teacher.", WIDE)
    whole["module.criterion.embed.weight"] = np.zeros((4, 3), np.float32)
    assert main(["import", *given(tmp_path, whole)]) == 0
    output = capsys.readouterr()
    assert "took what lies below 'module.student.', and left" in output.err
    assert digest(tmp_path) == plain
    assert json.loads(output.out)["classes"] == 10


def test_of_two_that_fit_the_user_says_which(tmp_path, plain, capsys):
    whole = below("student.", TEACHER) | below("teacher.", PLAIN)
    words = given(tmp_path, whole)
    assert main(["import", *words]) == 2
    error = capsys.readouterr().err
    assert "expected one of --prefix=student, --prefix=teacher.\n" in error
    assert not (tmp_path / "w").exists()
    assert main(["import", *words, "--prefix=teacher"]) == 0
    assert digest(tmp_path) == plain
    record = json.loads((tmp_path / "w" / "imported.json").read_text())["imported"]
    assert record["prefix"] == "teacher."
    assert main(["import", *words, "--prefix=student."]) == 2
    assert "--prefix was teacher. and is student." in capsys.readouterr().err
    assert main(["import", *words, "--prefix=net"]) == 2
    expected = "no classifier below it; expected one of 'student.', 'teacher.'"
    assert expected in capsys.readouterr().err


def test_two_that_are_the_same_are_one():
    whole = below("module.student.", PLAIN) | below("module.teacher.", PLAIN)
    assert found(whole).prefix in ("module.student.", "module.teacher.")


def test_an_average_beside_the_weights_is_no_part_of_them():
    whole = PLAIN | below("ema.", TEACHER)
    with pytest.raises(InputError, match="expected one of --prefix=, --prefix=ema."):
        found(whole)
    for prefix, tensors in (("", PLAIN), ("ema", TEACHER)):
        kernel = found(whole, prefix).read.variables[0]["head"]["kernel"]
        np.testing.assert_array_equal(kernel, tensors["fc.weight"].T)


def test_another_network_is_refused_below_a_prefix_too():
    attention = {"net.layer1.0.se.fc.weight": np.zeros((16, 16), np.float32)}
    with pytest.raises(InputError, match="f, below 'net.': .*no array of the network"):
        found(below("net.", PLAIN) | attention)
    message = "Nor is what lies below 'module.teacher.', which have classifiers too"
    with pytest.raises(InputError, match=message):
        found(below("student.", WIDE) | below("module.teacher.", WIDE))
    with pytest.raises(InputError, match="there is no classifier"):
        found({"net.conv1.weight": PLAIN["conv1.weight"]})


def test_weights_that_answer_with_infinity_are_refused(tmp_path, capsys):
    large = {
        name: tensor * np.float32(1e30) if "conv" in name else tensor
        for name, tensor in PLAIN.items()
    }
    large |= {"bn1.running_var": np.zeros(16, np.float32)}
    assert main(["import", *given(tmp_path, large)]) == 2
    assert "does not answer with finite logits" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
    for flag, text in (("mean", "nan"), ("std", "inf")):
        words = [w for w in given(tmp_path, PLAIN) if not w.startswith(f"--{flag}")]
        assert main(["import", *words, f"--{flag}={text}"]) == 2
        assert f"--{flag} is ({text},); expected finite" in capsys.readouterr().err


@pytest.mark.parity
def test_a_checkpoint_of_timm_is_read_by_its_own_name(tmp_path, plain):
    import torch

    state = {name: torch.from_numpy(np.asarray(x)) for name, x in PLAIN.items()}
    saved = {"state_dict": below("module.", state), "epoch": 9, "arch": "resnet8"}
    torch.save(saved, tmp_path / "checkpoint-9.pth.tar")
    words = [str(tmp_path / "checkpoint-9.pth.tar"), f"--workdir={tmp_path / 'w'}"]
    assert main(["import", *words, *WORDS]) == 0
    assert digest(tmp_path) == plain


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:torch.quantize_per:UserWarning")
def test_odd_tensors_are_refused_only_where_they_are_needed(tmp_path):
    import torch

    weight = torch.ones(64, 10).T
    odd = {
        "is sparse or nested; .*to_dense": weight.to_sparse(),
        "is quantised; .*dequantize": torch.quantize_per_tensor(
            weight, 0.1, 0, torch.qint8
        ),
        "has a shape and no values, a meta": weight.to("meta"),
        "repeats its values; .*contiguous": torch.ones(1, 1).expand(10, 64),
        "is complex64; expected floating": weight.to(torch.complex64),
        "is int8; expected floating": weight.to(torch.int8),
    }
    state = {name: torch.from_numpy(np.asarray(x)) for name, x in PLAIN.items()}
    for number, (message, tensor) in enumerate(odd.items()):
        file = tmp_path / f"{number}.pth"
        torch.save(state | {"fc.weight": tensor}, file)
        with pytest.raises(InputError, match=f"f: fc.weight {message}"):
            found(imported.read(file))
        whole = below("net.", state) | {"other.x": tensor}
        torch.save(whole, file)
        assert found(imported.read(file)).others == 1
