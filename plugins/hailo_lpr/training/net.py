"""The nets. Only what the ONNX importer of OpenCV 4.6 has: convolutions, additions, ReLU, means.
Input: grey, one channel, standardised per crop (see standardise).
"""
import numpy as np
import torch
from torch import nn

import alphabet

FLOOR = 8.0  # Least deviation by which a crop is divided: a flat crop stays flat.


class Block(nn.Sequential):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inputs, outputs, stride=(1, 1), kernel=(3, 3), padding=(1, 1)):
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
                         nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """A block beside its input."""

    def __init__(self, channels, kernel=(3, 3), padding=(1, 1)):
        super().__init__()
        self.block = Block(channels, channels, (1, 1), kernel, padding)

    def forward(self, x):
        return x + self.block(x)


class Reader(nn.Module):
    """1x48x160 to 79 classes at 40 places, left to right: N x 79 x 1 x 40."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            Block(1, 24, (2, 2)), Block(24, 40, (2, 1)), Block(40, 56, (1, 2)),
            Block(56, 80, (2, 1)), Residual(80), Block(80, 112, (2, 1)), Residual(112),
            Block(112, 144, (1, 1), (3, 1), (0, 0)), Residual(144, (1, 5), (0, 2)))
        self.head = nn.Conv2d(144, alphabet.CLASSES, 1)
        self.drop = nn.Dropout2d(0.05)

    def forward(self, x):
        return self.head(self.drop(self.body(x)))


class Province(nn.Module):
    """1x32x160 to 79 classes: N x 79 x 1 x 1. The order of places is kept until the last layer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            Block(1, 16, (2, 2)), Block(16, 32, (2, 2)), Residual(32),
            Block(32, 48, (2, 2)), Residual(48), Block(48, 64, (2, 2)), Block(64, 80, (1, 1), (2, 1), (0, 0)), nn.Dropout2d(0.1))
        self.head = nn.Conv2d(80, alphabet.PROVINCE_CLASSES, (1, 10))

    def forward(self, x):
        return self.head(self.body(x))


NETS = {"reader": Reader, "province": Province}


def standardise(images):
    """Crops (n, height, width) of bytes as floats (n, 1, height, width) of mean 0 and deviation 1."""
    crops = np.asarray(images, np.float32)
    mean = crops.mean(axis=(1, 2), keepdims=True)
    deviation = crops.std(axis=(1, 2), keepdims=True)
    return ((crops - mean) / np.maximum(deviation, FLOOR))[:, None]


def tensor(images):
    return torch.from_numpy(standardise(images))
