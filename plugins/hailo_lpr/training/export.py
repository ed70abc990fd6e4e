#!/usr/bin/env python3
"""Exports a checkpoint as ONNX and proves that OpenCV gives what torch gave.

    export.py CHECKPOINT.pt OUTPUT.onnx

Normalisation is folded into the convolutions. The input is 1x1x48x160 (reader) or 1x1x32x160
(province), one crop standardised to mean 0 and deviation 1; the output 1x79x1x40 or 1x79x1x1 scores,
before the softmax.
"""
import argparse
import sys

import cv2
import numpy as np
import torch
from torch import nn

import net
import samples

SIZES = {"reader": samples.READER_SIZE, "province": samples.PROVINCE_SIZE}
OPSET = 11
MOST = 1e-3  # Largest difference of a score.
CHECKED = 32  # Crops compared.


def folded(model):
    """The model with every normalisation folded into the convolution before it."""
    for block in [module for module in model.modules() if isinstance(module, net.Block)]:
        block[0] = nn.utils.fuse_conv_bn_eval(block[0], block[1])
        block[1] = nn.Identity()
    return model


def largest_difference(model, path, size):
    images, _, _ = samples.Source(7).readings(0, CHECKED)
    images = np.stack([cv2.resize(image, size) for image in images])
    with torch.no_grad():
        expected = model(net.tensor(images)).numpy()
    there = cv2.dnn.readNetFromONNX(path)
    worst = 0.0
    for crop, scores in zip(net.standardise(images), expected):
        there.setInput(crop[None])
        worst = max(worst, float(np.abs(there.forward()[0] - scores).max()))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("output")
    options = parser.parse_args()
    state = torch.load(options.checkpoint, map_location="cpu")
    model = net.NETS[state["net"]]()
    model.load_state_dict(state["average"])
    model = folded(model.eval())
    size = SIZES[state["net"]]
    torch.onnx.export(model, torch.zeros(1, 1, size[1], size[0]), options.output, opset_version=OPSET,
                      input_names=["crop"], output_names=["scores"])
    worst = largest_difference(model, options.output, size)
    print(f"{options.output}: step {state['step']}, OpenCV differs from torch by at most {worst:.1e}")
    return 0 if worst < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
