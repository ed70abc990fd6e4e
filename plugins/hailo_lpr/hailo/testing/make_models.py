#!/usr/bin/python3
"""Makes the small models that the tests of the back ends run: detectors (models/yolo8.onnx,
yolo8_heads.onnx, yolo4_tiny.onnx and the same in parts, yolo4_tiny_parts.onnx), a reader with
slots, which takes octets (slots.onnx) or planes of floats (slots_planes.onnx), and one with rows of
scores (lprnet.onnx). They have the inputs and outputs of real ones, the detectors at any size, and
random weights: what they find means nothing, but every back end must find the same.

    hailo/testing/make_models.py        (with Debian's python3-torch)
"""
import pathlib

import torch
from torch import nn

ROWS, COLUMNS = 64, 96
CLASSES = 2
SLOTS, CLASSES_OF_SLOT = 9, 37
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


class Yolo4TinyParts(Yolo4Tiny):
    """Each grid as Hailo's compiler splits it: centres, scales, objects and classes by themselves,
    with all sigmoids but that of the scales behind them."""

    def forward(self, picture):
        out = []
        for grid in super().forward(picture):
            for begin, end in ((0, 2), (2, 4), (4, 5), (5, 5 + CLASSES)):
                part = torch.cat([grid[:, at + begin:at + end]
                                  for at in range(0, grid.shape[1], 5 + CLASSES)], dim=1)
                out.append(part if begin == 2 else torch.sigmoid(part))
        return tuple(out)


class LprNet(nn.Module):
    """Five rows of 19 places with the scores of ten digits and a blank, as LPRNet."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(16, 11, 1))

    def forward(self, picture):
        return self.layers(picture) * 40


class Slots(nn.Module):
    """So many places for a character, each with the probability of every class."""

    def __init__(self, octets):
        super().__init__()
        self.octets = octets
        self.convolutions = nn.Sequential(down(1, 8), down(8, 16))
        self.last = nn.Sequential(nn.AvgPool2d((4, 8)), nn.Conv2d(16, SLOTS * CLASSES_OF_SLOT, 1))

    def forward(self, picture):
        if self.octets:
            picture = picture.permute(0, 3, 1, 2).float() / 255
        scores = self.last(self.convolutions(picture) * 8)
        return torch.softmax(scores.reshape(1, SLOTS, CLASSES_OF_SLOT), dim=2)


def make_slots():
    for octets, name, shape in ((True, "slots", (1, 16, 32, 1)),
                                (False, "slots_planes", (1, 1, 16, 32))):
        torch.manual_seed(9)
        picture = torch.zeros(*shape, dtype=torch.uint8 if octets else torch.float32)
        torch.onnx.export(Slots(octets).eval(), picture, str(FOLDER / f"{name}.onnx"),
                          input_names=["picture"], output_names=["plate"], opset_version=11)


def main():
    FOLDER.mkdir(exist_ok=True)
    named = ((Yolo8, "yolo8", ["boxes"]),
             (Yolo8Heads, "yolo8_heads", ["sides8", "scores8", "sides16", "scores16"]),
             (Yolo4Tiny, "yolo4_tiny", ["coarse", "fine"]),
             (Yolo4TinyParts, "yolo4_tiny_parts",
              [f"detector/{grid}_{part}" for grid in ("conv19", "conv21")
               for part in ("centers", "scales", "obj", "probs")]))
    for seed, (kind, name, outputs) in enumerate(named):
        torch.manual_seed(min(seed, 2))  # The weights of Yolo4Tiny are those of its parts.
        model = kind().eval()
        torch.onnx.export(model, torch.zeros(1, 3, ROWS, COLUMNS), str(FOLDER / f"{name}.onnx"),
                          input_names=["picture"], output_names=outputs, opset_version=11)
    make_slots()
    torch.manual_seed(5)
    torch.onnx.export(LprNet().eval(), torch.zeros(1, 3, 75, 300), str(FOLDER / "lprnet.onnx"),
                      input_names=["picture"], output_names=["lprnet/conv31"], opset_version=11)


if __name__ == "__main__":
    main()
