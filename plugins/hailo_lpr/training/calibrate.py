#!/usr/bin/env python3
"""Makes confidences mean something: fits a temperature and a threshold below which a reading is
rejected, on synthetic crops that no training used.

    calibrate.py MODEL OUTPUT.yaml --net reader|province

The confidence of a reading is its probability after dividing the scores by the temperature: for the
reader the sum over all ways to write the reading (CTC), for the province that of its class. Of the
readings with a confidence near p, about p are right. The threshold is the least one at which at
most --wrong of the accepted crops are misread.
"""
import argparse
import math

import cv2
import numpy as np

import alphabet
import decode
import evaluate
import samples

SEED = 910001  # Neither training nor check uses it.
SAMPLES = 1500
TEMPERATURES = np.exp(np.linspace(math.log(0.5), math.log(4.0), 10))
FITTED = 1000  # Crops on which each temperature is tried.
BINS = 10


def read_all(scores, temperature):
    """Reading and confidence of each crop."""
    out = []
    for one in scores:
        out.append(decode.beam(decode.probabilities(one, temperature))[0])
    return out


def provinces(scores, temperature):
    out = []
    for one in scores:
        row = one.reshape(-1) / temperature
        share = np.exp(row - row.max())
        out.append((int(row.argmax()), float(share.max() / share.sum())))
    return out


def cost(readings, truths, same):
    """Mean negative log likelihood of "this reading is right", over all that read something."""
    total, count = 0.0, 0
    for (reading, confidence), truth in zip(readings, truths):
        if not reading:
            continue
        confidence = min(max(confidence, 1e-6), 1 - 1e-6)
        total -= math.log(confidence if same(reading, truth) else 1 - confidence)
        count += 1
    return total / max(1, count)


def threshold(readings, truths, same, wrong):
    """The least confidence from which on at most this share is misread."""
    found = sorted(((confidence, same(reading, truth)) for (reading, confidence), truth
                    in zip(readings, truths) if reading), reverse=True)
    best, errors = 1.0, 0
    for count, (confidence, right) in enumerate(found, 1):
        errors += not right
        if errors / count <= wrong:
            best = confidence
    return best


def reliability(readings, truths, same):
    """Per tenth of confidence: how many, mean confidence, share right."""
    rows = []
    for index in range(BINS):
        inside = [(confidence, same(reading, truth)) for (reading, confidence), truth
                  in zip(readings, truths)
                  if reading and index == min(int(confidence * BINS), BINS - 1)]
        if inside:
            confidences, hits = zip(*inside)
            rows.append((len(inside), np.mean(confidences), np.mean(hits)))
    return rows


def same_text(reading, truth):
    return alphabet.fold(reading) == alphabet.fold(truth)


def same_class(reading, truth):
    return reading == truth


def write(options, temperature, least):
    """The file beside a model: what a user of the model has to know."""
    width, height = samples.READER_SIZE if options.net == "reader" else samples.PROVINCE_SIZE
    lines = ["# Made by training/calibrate.py; see MODEL_CARD.md.",
             f"width: {width}", f"height: {height}",
             f"temperature: {temperature:.3f}", f"reject_below: {least:.3f}"]
    if options.net == "reader":  # Class 1 is the first; 0 is the blank, or no province.
        lines.append(f'characters: "{alphabet.CHARACTERS}"')
    else:
        lines += ["names:"] + [f"  - {name}" for name in alphabet.PROVINCES]
    with open(options.output, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--net", choices=("reader", "province"), required=True)
    parser.add_argument("--wrong", type=float, default=0.02, help="share of accepted crops misread")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    source = samples.Source(SEED)
    make, read, same = {"reader": (source.readings, read_all, same_text),
                        "province": (source.provinces, provinces, same_class)}[options.net]
    images, truths = make(0, SAMPLES)[:2]
    scores = evaluate.load(options.model)(images)
    costs = [(cost(read(scores[:FITTED], t), truths, same), t) for t in TEMPERATURES]
    temperature = min(costs)[1]
    readings = read(scores, temperature)
    least = threshold(readings, truths, same, options.wrong)
    accepted = [same(r, t) for (r, c), t in zip(readings, truths) if r and c >= least]
    write(options, temperature, least)
    print(f"temperature {temperature:.3f}, reject below {least:.3f}: {len(accepted)} of {len(truths)} "
          f"accepted, {np.mean(accepted) if accepted else 0:.3f} of them right")
    for count, confidence, right in reliability(readings, truths, same):
        print(f"  {count:5d} readings, mean confidence {confidence:.3f}, right {right:.3f}")


if __name__ == "__main__":
    main()
