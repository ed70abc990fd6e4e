#!/usr/bin/python3
"""Makes the small detectors that the tests of the back ends run: models/yolo8.onnx, yolo8_heads.onnx
and yolo4_tiny.onnx. They have the outputs of the real ones and random weights: what they find means
nothing, but every back end must find the same.

    hailo/testing/make_detectors.py        (with Debian's python3-torch)
"""
import pathlib

import torch
from torch import nn

ROWS, COLUMNS = 64, 96
CLASSES = 2
FOLDER = pathlib.Path(__file__).parent / "models"


def down(before, after):
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU())


class Detector(nn.Module):
    """Convolutions down to strides 8, 16 and 32."""

    def __init__(self):
        super().__init__()
        self.to8 = nn.Sequential(down(3, 8), down(8, 8), down(8, 16))
        self.to16 = down(16, 16)
        self.to32 = down(16, 16)


class Yolo8(Detector):
    """One tensor: centre, size and scores of each box."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(16, 4 + CLASSES, 1)
        self.scale = nn.Conv2d(4 + CLASSES, 4 + CLASSES, 1, groups=4 + CLASSES, bias=False)
        sizes = torch.tensor([COLUMNS, ROWS, COLUMNS / 4, ROWS / 4] + [1.0] * CLASSES)
        self.scale.weight.data = sizes.reshape(-1, 1, 1, 1)

    def forward(self, picture):
        boxes = self.scale(torch.sigmoid(self.last(self.to8(picture)) * 8))
        return boxes.reshape(1, 4 + CLASSES, -1)


class Yolo8Heads(Detector):
    """Distances and scores of strides 8 and 16."""

    def __init__(self):
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(16, 64, 1) for _ in range(2))
        self.scores = nn.ModuleList(nn.Conv2d(16, CLASSES, 1) for _ in range(2))

    def forward(self, picture):
        fine = self.to8(picture)
        coarse = self.to16(fine)
        return tuple(out for i, grid in enumerate((fine, coarse))
                     for out in (self.sides[i](grid) * 8, torch.sigmoid(self.scores[i](grid) * 8)))


class Yolo4Tiny(Detector):
    """Grids of strides 32 and 16 with three anchors."""

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(16, 3 * (5 + CLASSES), 1)
        self.coarse = nn.Conv2d(16, 3 * (5 + CLASSES), 1)

    def forward(self, picture):
        fine = self.to16(self.to8(picture))
        return self.coarse(self.to32(fine)) * 8, self.fine(fine) * 8


def main():
    FOLDER.mkdir(exist_ok=True)
    named = ((Yolo8, "yolo8", ["boxes"]),
             (Yolo8Heads, "yolo8_heads", ["sides8", "scores8", "sides16", "scores16"]),
             (Yolo4Tiny, "yolo4_tiny", ["coarse", "fine"]))
    for seed, (kind, name, outputs) in enumerate(named):
        torch.manual_seed(seed)
        model = kind().eval()
        torch.onnx.export(model, torch.zeros(1, 3, ROWS, COLUMNS), str(FOLDER / f"{name}.onnx"),
                          input_names=["picture"], output_names=outputs, opset_version=11)


if __name__ == "__main__":
    main()
