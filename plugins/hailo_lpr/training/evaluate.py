#!/usr/bin/env python3
"""Measures a reader: on synthetic samples, and on the true crops of photographs.

    evaluate.py MODEL --plates FOLDER [--set us|eu|br] [--looks]
    evaluate.py MODEL --synthetic [--ease E] [--net province]

MODEL is a checkpoint (.pt) or an exported net (.onnx, through OpenCV as in the plugin). FOLDER/SET
holds photographs, each with a text file: file, x, y, width, height of the plate, plate, separated by
tabs. Printed: exact readings, exact with O as 0 and I as 1, the same after the grammar of the set
has chosen among the likeliest readings, and the character error rate. --looks lets the grammar
choose among what four cuts say together, as the plugin does. --synthetic measures samples
that neither training nor calibration used; E is the share of near and sharp pictures.
"""
import argparse
import pathlib
import sys
import time

import cv2
import numpy as np
import torch

import alphabet
import camera
import decode
import grammar
import net
import samples

SETS = ("us", "eu", "br")
# Degrees by which a cut is turned, and how much lower it is in heights: as in looks.cc.
LOOKS = ((0, 0.0), (2, 0.0), (-2, 0.0), (0, 0.08))
BATCH = 100
SYNTHETIC_SEED = 920001
SYNTHETIC = 1500


class OnnxNet:
    """An exported net, run by OpenCV one crop at a time on one thread."""

    def __init__(self, path):
        self.net = cv2.dnn.readNetFromONNX(str(path))
        self.seconds = 0.0
        self.crops = 0

    def __call__(self, images):
        out = []
        for image in net.standardise(images):
            started = time.perf_counter()
            self.net.setInput(image[None])
            out.append(self.net.forward()[0])
            self.seconds += time.perf_counter() - started
            self.crops += 1
        return np.stack(out)


def load(path):
    """Gives a function from crops to scores."""
    if str(path).endswith(".onnx"):
        return OnnxNet(path)
    state = torch.load(path, map_location="cpu")
    model = net.NETS[state["net"]]()
    model.load_state_dict(state["average"])
    return torch_runner(model.eval())


def torch_runner(model):
    def run(images):
        with torch.no_grad():
            parts = [model(net.tensor(images[i:i + BATCH])) for i in range(0, len(images), BATCH)]
            return torch.cat(parts).numpy()
    return run


def runner(model):
    return torch_runner(model) if isinstance(model, torch.nn.Module) else model


def synthetic(model, images, texts):
    """Share of right readings, and the same for Latin, Thai and empty crops."""
    scores = runner(model)(images)
    right = {"latin": [], "thai": [], "none": []}
    for one, text in zip(scores, texts):
        reading = decode.greedy(decode.probabilities(one))
        right[kind_of(text)].append(alphabet.fold(reading) == alphabet.fold(text))
    every = sum(right.values(), [])
    parts = [f"{kind} {np.mean(hits):.3f}" for kind, hits in right.items() if hits]
    return float(np.mean(every)), " ".join(parts)


def kind_of(text):
    if not text:
        return "none"
    return "thai" if any(letter in alphabet.THAI for letter in text) else "latin"


def synthetic_provinces(model, images, classes):
    found = runner(model)(images).reshape(len(images), -1).argmax(axis=1)
    hits = found == np.array(classes)
    named = np.array(classes) > 0
    return float(hits.mean()), f"named {hits[named].mean():.3f} none {hits[~named].mean():.3f}"


def cut(image, box, turn, lower):
    """A crop as (48, 160) bytes."""
    x, y, width, height = box
    if turn:
        middle = (x + width / 2, y + height / 2)
        image = cv2.warpAffine(image, cv2.getRotationMatrix2D(middle, turn, 1), image.shape[::-1],
                               borderMode=cv2.BORDER_REPLICATE)
    y += round(lower * height)
    x, y = max(0, x), max(0, y)
    return camera.fit(image[y:y + height, x:x + width], samples.READER_SIZE)


def true_crops(folder, looks):
    """The crops of a folder of photographs with their plates: those of the first look, those of the
    second, and so on.
    """
    crops, texts = [[] for _ in looks], []
    for path in sorted(pathlib.Path(folder).glob("*.txt")):
        fields = path.read_text(encoding="utf-8").split("\n")[0].split("\t")
        image = cv2.imread(str(path.parent / fields[0]), cv2.IMREAD_GRAYSCALE)
        if image is None or len(fields) < 6:
            print(f"{path}: no image or no ground truth", file=sys.stderr)
            continue
        box = [int(field) for field in fields[1:5]]
        for of_look, (turn, lower) in zip(crops, looks):
            of_look.append(cut(image, box, turn, lower))
        texts.append(fields[5].strip())
    return [np.stack(of_look) for of_look in crops], texts


def distance(a, b):
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def measure(run, folder, name, looks=LOOKS[:1]):
    """The figures of one set, and its wrong readings. "plain": of the first look alone."""
    crops, texts = true_crops(pathlib.Path(folder) / name, looks)
    law = grammar.load(name)
    plain, chosen = [], []
    for of_plate in zip(*(run(images) for images in crops)):
        tables = [decode.probabilities(scores) for scores in of_plate]
        plain.append(decode.greedy(tables[0]))
        chosen.append(decode.choose(tables, law)[0])
    figures = {"images": len(texts)}
    for label, readings in (("", plain), ("grammar ", chosen)):
        pairs = list(zip(readings, texts))
        folded = [(alphabet.fold(a), alphabet.fold(b)) for a, b in pairs]
        figures[label + "exact"] = np.mean([a == b for a, b in pairs])
        figures[label + "folded"] = np.mean([a == b for a, b in folded])
        figures[label + "cer"] = sum(distance(a, b) for a, b in folded) / sum(len(b) for b in texts)
    wrong = [(b, a, c) for a, c, b in zip(plain, chosen, texts)
             if alphabet.fold(c) != alphabet.fold(b)]
    return figures, wrong


def summary(model, folder):
    run = runner(model)
    parts = []
    for name in SETS:
        if (pathlib.Path(folder) / name).is_dir():
            figures, _ = measure(run, folder, name)
            parts.append(f"{name} {figures['folded']:.3f}/{figures['grammar folded']:.3f}")
    return " ".join(parts) + " (without/with grammar, O=0 I=1)"


def print_synthetic(run, options):
    source = samples.Source(SYNTHETIC_SEED, options.ease)
    if options.net == "province":
        right, by_kind = synthetic_provinces(run, *source.provinces(0, SYNTHETIC))
    else:
        images, texts, _ = source.readings(0, SYNTHETIC)
        right, by_kind = synthetic(run, images, texts)
        by_kind += f" thai by grammar {thai_by_grammar(run, images, texts):.3f}"
    print(f"synthetic, ease {options.ease}: {SYNTHETIC} crops, right {right:.3f}, {by_kind}")


def thai_by_grammar(run, images, texts):
    """Share of right readings of Thai crops after the grammar has chosen."""
    thai = [index for index, text in enumerate(texts) if kind_of(text) == "thai"]
    law = grammar.load("th")
    found = [decode.choose([decode.probabilities(scores)], law)[0] for scores in run(images[thai])]
    return float(np.mean([reading == texts[index] for reading, index in zip(found, thai)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--plates")
    parser.add_argument("--set", choices=SETS, action="append")
    parser.add_argument("--looks", action="store_true", help="four cuts of each plate")
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--ease", type=float, default=0.3)
    parser.add_argument("--net", choices=("reader", "province"), default="reader")
    parser.add_argument("--wrong", action="store_true", help="list the wrong readings")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    run = load(options.model)
    if options.synthetic:
        print_synthetic(run, options)
    for name in (options.set or SETS) if options.plates else ():
        figures, wrong = measure(run, options.plates, name, LOOKS if options.looks else LOOKS[:1])
        parts = [f"{key.replace(' ', '_')}={value:.3f}" for key, value in figures.items()]
        print(name, " ".join(parts))
        for truth, plain, chosen in wrong if options.wrong else []:
            print(f"  {truth} read {plain or '-'} chosen {chosen or '-'}")
    if isinstance(run, OnnxNet):
        print(f"ms a crop: {run.seconds / run.crops * 1000:.2f}")


if __name__ == "__main__":
    main()
