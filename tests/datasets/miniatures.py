"""Writes small archives in the official layouts, by other means than kdjax reads."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np

SIZES = {"train": 10, "test": 4}


def images(seed, count, shape):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def png(image):
    """PNG by hand: 8 bits, grey [h, w] or RGB [h, w, 3], no filter."""
    height, width = image.shape[:2]
    colour = 2 if image.ndim == 3 else 0
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        out += struct.pack(">I", len(data)) + kind + data
        out += struct.pack(">I", zlib.crc32(kind + data))
    return out


def tar_gz(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def fashion_mnist(directory, classes=10):
    """{split: (image [n, 28, 28, 1], label [n])}."""
    written = {}
    for seed, (split, prefix) in enumerate((("train", "train"), ("test", "t10k"))):
        count = SIZES[split]
        image = images(seed, count, (28, 28, 1))
        label = np.arange(count, dtype=np.uint8) * 3 % classes
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        content = gzip.compress(head + image.tobytes())
        (directory / f"{prefix}-images-idx3-ubyte.gz").write_bytes(content)
        content = gzip.compress(struct.pack(">II", 0x801, count) + label.tobytes())
        (directory / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(content)
        written[split] = (image, label)
    return written


def cifar(path, classes):
    """{split: (image, label, coarse label)}; the file's name says which archive."""
    coarse_classes = 20
    written, files = {}, {}
    batches = 5 if classes == 10 else 1
    for seed, split in enumerate(SIZES):
        count = SIZES[split]
        image = images(seed, count, (32, 32, 3))
        label = np.arange(count) * 7 % classes
        coarse = np.arange(count) * 3 % coarse_classes
        written[split] = (image, label, coarse)
        parts = np.array_split(np.arange(count), batches if split == "train" else 1)
        for number, indices in enumerate(parts, start=1):
            part = (image[indices], label[indices], coarse[indices])
            name = _cifar_name(classes, split, number)
            if path.name.endswith("binary.tar.gz"):
                files[f"{name}.bin"] = _cifar_records(classes, *part)
            else:
                files[name] = _cifar_pickle(classes, *part)
    files |= _cifar_names(path, classes, coarse_classes)
    folder = path.name.removesuffix(".tar.gz")
    tar_gz(path, {f"{folder}/{name}": content for name, content in files.items()})
    return written


def _cifar_name(classes, split, number):
    if classes == 100:
        return split
    return f"data_batch_{number}" if split == "train" else "test_batch"


def _planes(image):
    return image.transpose(0, 3, 1, 2).reshape(len(image), -1)


def _cifar_records(classes, image, label, coarse):
    labels = [coarse, label] if classes == 100 else [label]
    head = np.stack(labels, axis=1).astype(np.uint8)
    return np.concatenate([head, _planes(image)], axis=1).tobytes()


def _cifar_pickle(classes, image, label, coarse):
    batch = {b"data": np.ascontiguousarray(_planes(image)), b"batch_label": b"batch 1"}
    if classes == 100:
        batch |= {b"fine_labels": label.tolist(), b"coarse_labels": coarse.tolist()}
    else:
        batch[b"labels"] = label.tolist()
    return python2_pickle(batch)


def _cifar_names(path, classes, coarse_classes):
    names = [f"class {i}" for i in range(classes)]
    groups = [f"group {i}" for i in range(coarse_classes)]
    if path.name.endswith("binary.tar.gz"):
        if classes == 10:
            return {"batches.meta.txt": ("\n".join(names) + "\n\n").encode()}
        return {
            "fine_label_names.txt": "\n".join(names).encode(),
            "coarse_label_names.txt": "\n".join(groups).encode(),
        }
    as_bytes = [name.encode() for name in names]
    if classes == 10:
        return {"batches.meta": python2_pickle({b"label_names": as_bytes})}
    meta = {
        b"fine_label_names": as_bytes,
        b"coarse_label_names": [group.encode() for group in groups],
    }
    return {"meta": python2_pickle(meta)}


class _Python2Pickler(pickle._Pickler):
    """Writes byte strings as Python 2 wrote its `str`."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value):
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def python2_pickle(value):
    target = io.BytesIO()
    _Python2Pickler(target, protocol=2).dump(value)
    return target.getvalue().replace(
        b"numpy._core.multiarray", b"numpy.core.multiarray"
    )


def cinic10(path):
    """{split: {id: (image, class name, source)}}; one picture of each split is grey."""
    written, files = {}, {}
    for seed, (split, folder) in enumerate(
        (("train", "train"), ("validation", "valid"), ("test", "test"))
    ):
        pictures = images(seed, 4, (32, 32, 3))
        rows = (("cat", "cifar10-train-7"), ("dog", "n02084071_1"))
        rows += (("truck", "n02084071_2"), ("airplane", "cifar10-test-3"))
        written[split] = {}
        for number, (name, file) in enumerate(rows):
            image = pictures[number]
            if number == 2:
                files[f"{folder}/{name}/{file}.png"] = png(image[..., 0])
                image = np.repeat(image[..., :1], 3, axis=-1)
            else:
                files[f"{folder}/{name}/{file}.png"] = png(image)
            source = "cifar10" if file.startswith("cifar10") else "imagenet"
            written[split][f"{split}/{name}/{file}.png"] = (image, name, source)
    files["README.md"] = b"CINIC-10"
    tar_gz(path, files)
    return written


def tiny_imagenet(path, encode):
    """{split: {file: (colour, WordNet identifier)}}; plain pictures, one grey."""
    wnids = [f"n{number:08d}" for number in range(200)]
    shuffled = [wnids[i] for i in np.random.default_rng(0).permutation(200)]
    written = {"train": {}, "validation": {}}
    root = "tiny-imagenet-200"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}/wnids.txt", "\n".join(shuffled) + "\n")
        for number, wnid in enumerate((wnids[199], wnids[3], wnids[50])):
            file, colour = f"{wnid}_0.JPEG", (40 * number, 200 - 50 * number, 90)
            written["train"][file] = (colour, wnid)
            name = f"{root}/train/{wnid}/images/{file}"
            archive.writestr(name, encode(np.full((64, 64, 3), colour, np.uint8)))
            archive.writestr(f"{root}/train/{wnid}/{wnid}_boxes.txt", "x")
        grey = np.full((64, 64, 1), 77, np.uint8)
        archive.writestr(f"{root}/val/images/val_0.JPEG", encode(grey))
        written["validation"]["val_0.JPEG"] = ((77, 77, 77), wnids[8])
        text = f"val_0.JPEG\t{wnids[8]}\t0\t0\t62\t62\n"
        archive.writestr(f"{root}/val/val_annotations.txt", text)
        archive.writestr(f"{root}/test/images/test_0.JPEG", encode(grey))
    return written
