#!/usr/bin/env python3
"""A training that goes on from an exported net begins with exactly that net."""
import pathlib
import sys
import tempfile
import unittest

import numpy as np
import torch

import export
import net
import restart
import samples


class Restart(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(5)
        images, _, _ = samples.Source(3).readings(0, 64)
        self.crops = net.tensor(images)
        self.model = net.Reader().train()
        for _ in range(3):
            self.model(self.crops)  # Its normalisations have seen something.
        self.model.eval()

    def exported(self, folder):
        path = pathlib.Path(folder, "reader.onnx")
        with torch.no_grad():
            self.scores = self.model(self.crops).numpy()
        torch.onnx.export(export.folded(self.model), self.crops[:1], str(path), opset_version=export.OPSET)
        return path

    def test_gives_what_the_exported_net_gives(self):
        with tempfile.TemporaryDirectory() as folder:
            again = restart.started("reader", self.exported(folder), self.crops)
        with torch.no_grad():
            frozen = again.eval()(self.crops).numpy()
            again.drop.p = 0.0
            learning = again.train()(self.crops).numpy()
        self.assertLess(np.abs(frozen - self.scores).max(), 1e-2)
        self.assertLess(np.abs(learning - self.scores).max(), 1e-2)

    def test_refuses_another_net(self):
        with tempfile.TemporaryDirectory() as folder:
            path = self.exported(folder)
            with self.assertRaises(ValueError):
                restart.started("province", path, self.crops)


if __name__ == "__main__":
    sys.exit(unittest.main())
