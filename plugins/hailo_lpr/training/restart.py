"""Weights of an exported net, as a training wants them: the way on where the checkpoints are gone.

An exported net has its normalisations folded into its convolutions. They are given back here: the
mean and deviation of each convolution's output are measured over samples, so that the model gives
what the exported net gave, both frozen and while it learns.
"""
import copy

import cv2
import numpy as np
import torch
from torch import nn

import net

MEASURED = 512  # Crops.
MOST = 1e-2  # Largest difference of a score from that of the exported net.


def convolutions(path):
    """Weights and biases of the convolutions of an ONNX file in their order."""
    there = cv2.dnn.readNetFromONNX(str(path))
    found = []
    for name in there.getLayerNames():
        if there.getLayer(name).type == "Convolution":
            weights, biases = there.getParam(name, 0), there.getParam(name, 1)
            found.append((torch.from_numpy(weights.copy()), torch.from_numpy(biases.ravel().copy())))
    return found


def load(model, path, crops):
    """Fills `model` with the weights of `path`; `crops` are standardised samples."""
    targets = [module for module in model.modules() if isinstance(module, (net.Block, nn.Conv2d))]
    inside = {id(block[0]) for block in targets if isinstance(block, net.Block)}
    targets = [module for module in targets if id(module) not in inside]
    given = convolutions(path)
    if len(given) != len(targets):
        raise ValueError(f"{path}: {len(given)} convolutions, the net has {len(targets)}")
    model.eval()
    hooks = []
    with torch.no_grad():
        for module, (weights, biases) in zip(targets, given):
            if isinstance(module, net.Block):
                module[0].weight.copy_(weights)
                hooks.append(module[0].register_forward_hook(restoring(module[1], biases)))
            else:
                module.weight.copy_(weights)
                module.bias.copy_(biases)
        model(crops)
    for hook in hooks:
        hook.remove()


def restoring(norm, biases):
    """A hook that gives a normalisation the figures under which it only adds `biases`."""
    def restore(_convolution, _inputs, output):
        mean, variance = output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3), unbiased=False)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(biases + mean)
    return restore


def started(kind, path, crops):
    """A model of `kind` with the weights of `path` that gives what the exported net gives."""
    model = net.NETS[kind]()
    load(model, path, crops[:MEASURED])
    there = cv2.dnn.readNetFromONNX(str(path))
    with torch.no_grad():
        scores = copy.deepcopy(model).eval()(crops[:8]).numpy()
    for crop, mine in zip(crops[:8].numpy(), scores):
        there.setInput(crop[None])
        worst = float(np.abs(there.forward()[0] - mine).max())
        if worst > MOST:
            raise ValueError(f"{path}: a score differs by {worst}")
    return model
