"""Two ways to feed PyTorch: a DataLoader with workers, and a set on the device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks import flags


def noise(count, size, classes):
    """(uint8 [n, h, w, 3], int64 [n]), as large as CIFAR-100 at 32x32."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return images, np.arange(count) % classes


class OneByOne(Dataset):
    """Crop, flip and normalise of one image at a time, in a worker."""

    def __init__(self, images, labels, padding):
        self.images, self.labels, self.padding = images, labels, padding

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        pad, size = self.padding, self.images.shape[1]
        image = np.pad(self.images[index], ((pad, pad), (pad, pad), (0, 0)))
        row, column, mirror = torch.randint(0, 2 * pad + 1, (3,)).tolist()
        image = image[row : row + size, column : column + size]
        if torch.rand(()) < 0.5:
            image = image[:, ::-1]
        pixels = image.transpose(2, 0, 1).astype(np.float32) / 255
        return (pixels - flags.MEAN) / flags.STD, int(self.labels[index])


def loader(images, labels, options, device):
    """Batches for ever, epoch after epoch, as a training loop takes them."""
    source = DataLoader(
        OneByOne(images, labels, flags.padding(options.image_size)),
        batch_size=options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        pin_memory=device.type == "cuda",
    )
    while True:
        for batch in source:
            yield tuple(part.to(device, non_blocking=True) for part in batch)


class OnDevice:
    """The whole set on the device; a batch is a gather of crops."""

    def __init__(self, images, labels, options, device):
        self.size, self.device = options.image_size, device
        self.padding = flags.padding(self.size)
        self.batch_size = options.batch_size
        border = (0, 0) + (self.padding,) * 4
        self.padded = F.pad(torch.from_numpy(images).to(device), border)
        self.labels = torch.from_numpy(labels).to(device)

    def __iter__(self):
        while True:
            order = torch.randperm(len(self.labels), device=self.device)
            for index in order.split(self.batch_size):
                if len(index) == self.batch_size:
                    yield self.augment(index, *self.draw()), self.labels[index]

    def draw(self):
        """Offsets of rows and columns, and which are mirrored; all [b]."""
        shape, most = (self.batch_size,), 2 * self.padding + 1
        row = torch.randint(most, shape, device=self.device)
        column = torch.randint(most, shape, device=self.device)
        return row, column, torch.rand(shape, device=self.device) < 0.5

    def augment(self, index, row, column, mirror):
        """Crops [b, 3, h, w] in channels-last memory, normalised."""
        steps = torch.arange(self.size, device=self.device)
        across = torch.where(mirror[:, None], steps.flip(0)[None], steps[None])
        rows = (row[:, None] + steps[None])[:, :, None]
        columns = (column[:, None] + across)[:, None, :]
        crop = self.padded[index[:, None, None], rows, columns]
        pixels = crop.to(torch.float32) * (1 / (255 * flags.STD))
        return (pixels - flags.MEAN / flags.STD).permute(0, 3, 1, 2)
