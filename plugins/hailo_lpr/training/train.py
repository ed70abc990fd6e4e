#!/usr/bin/env python3
"""Trains a net on synthetic samples, with checkpoints from which the same command goes on.

    train.py --net reader --out FOLDER [--plates FOLDER] [--hours H] [--final STEPS]
             [--start MODEL.onnx --step STEP]

Every few minutes FOLDER/last.pt is replaced, checked and, if it reads the check set best, kept as
FOLDER/best.pt; FOLDER/log.txt says how it goes. The learning rate is constant after a warm-up;
--final STEPS lets it fall to zero over so many more steps and ends there. --start goes on from an
exported net whose checkpoint is gone, as if at step STEP.
"""
import argparse
import copy
import os
import pathlib
import random
import time

import cv2
import numpy as np
import torch
from torch.nn import functional

import alphabet
import evaluate
import net
import restart
import samples

# Up to which step, pictures in a batch, share of near and sharp ones: easy and quick at first.
PHASES = [(2400, 32, 0.7), (6000, 64, 0.5), (1 << 60, 64, 0.3)]
BLOCK = 8  # Batches made together, so that the pictures of one plate are spread over them.
RATE = 1.5e-3
WARM_UP = 300  # Steps.
AVERAGE = 0.999  # Of the running average of the weights, which is what is checked and exported.
LONGEST_NORM = 5.0  # Of the gradient.
HINTED_STEPS = 20000  # The hint where characters are fades over so many steps.
UNSAID = -100  # Places beside a middle: either answer is right.
BLANK_WEIGHT = 0.2  # Of places without a character, which are many.
CHECK_SEED = 900001  # No training uses it.
CHECK_SAMPLES = 800


class Blocks(torch.utils.data.Dataset):
    """Block i of samples, ready for the net."""

    def __init__(self, options, first):
        self.options = options
        self.first = first
        self.source = None

    def __len__(self):
        return 1 << 30

    def __getitem__(self, index):
        if self.source is None:
            cv2.setNumThreads(1)
            self.source = samples.Source(self.options.seed)
        block = self.first + index
        batch, self.source.camera.ease = phase_at(block * BLOCK)
        images, *targets = samples_of(self.source, self.options.net)(block, batch * BLOCK)
        cuts = [slice(start, start + batch) for start in range(0, len(images), batch)]
        return [(images[cut], [target[cut] for target in targets]) for cut in cuts]


def phase_at(step):
    """Size of a batch and share of easy pictures."""
    return next((batch, ease) for last, batch, ease in PHASES if step < last)


def samples_of(source, kind):
    return source.readings if kind == "reader" else source.provinces


class Training:
    """One training and its folder."""

    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = net.NETS[options.net]().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=1e-3)
        self.block = 0
        self.step = 0
        self.best = -1.0
        self.checked = samples_of(samples.Source(CHECK_SEED), options.net)(0, CHECK_SAMPLES)
        self.warm = WARM_UP  # Step at which the rate is full.
        self.final = None  # (first step, last step) of the fall of the learning rate.
        self.resume()

    def begin(self, path, step):
        """From an exported net; the optimiser warms up again."""
        crops = net.tensor(self.checked[0][:restart.MEASURED])
        self.model.load_state_dict(restart.started(self.options.net, path, crops).state_dict())
        self.average.load_state_dict(self.model.state_dict())
        self.block, self.step = step // BLOCK, step
        self.warm = step + WARM_UP
        self.say(f"starts from {path} at step {step}")

    def resume(self):
        path = self.folder / "last.pt"
        if path.exists():
            state = torch.load(path)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.block, self.step, self.best = state["block"], state["step"], state["best"]
            self.final = state["final"]
            self.warm = state.get("warm", WARM_UP)
            self.say(f"goes on from step {self.step}, best {self.best:.4f}")
        elif self.options.start:
            self.begin(self.options.start, self.options.step)
        if self.options.final and self.final is None:
            self.final = (self.step, self.step + self.options.final)

    def save(self, name):
        state = {"model": self.model.state_dict(), "average": self.average.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "block": self.block, "step": self.step,
                 "best": self.best, "final": self.final, "warm": self.warm, "net": self.options.net,
                 "seed": self.options.seed}
        part = self.folder / (name + ".part")
        torch.save(state, part)
        os.replace(part, self.folder / name)

    def say(self, text):
        line = f"{time.strftime('%H:%M:%S', time.gmtime())} {text}"
        print(line, flush=True)
        with open(self.folder / "log.txt", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    def rate(self):
        rate = RATE * min(1.0, max(1, self.step + 1 - self.warm + WARM_UP) / WARM_UP)
        if self.final:
            first, last = self.final
            rate *= max(0.0, (last - self.step) / (last - first))
        return rate

    def learn(self, images, targets):
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            scores = self.model(net.tensor(images).contiguous(memory_format=torch.channels_last))
        loss = LOSSES[self.options.net](scores.float(), targets, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LONGEST_NORM)
        self.optimiser.step()
        self.step += 1
        self.follow()
        return float(loss.detach())

    def follow(self):
        """Moves the average towards the model; quickly at first."""
        keep = min(AVERAGE, self.step / (self.step + 50))
        pairs = zip(self.average.state_dict().values(), self.model.state_dict().values())
        for mine, theirs in pairs:
            if mine.dtype.is_floating_point:
                mine.mul_(keep).add_(theirs, alpha=1 - keep)
            else:
                mine.copy_(theirs)

    def check(self):
        if self.options.net == "reader":
            images, texts, _ = self.checked
            right, by_kind = evaluate.synthetic(self.average, images, texts)
        else:
            images, classes = self.checked
            right, by_kind = evaluate.synthetic_provinces(self.average, images, classes)
        self.say(f"step {self.step} check {right:.4f} {by_kind}")
        if self.options.plates and self.options.net == "reader":
            figures = evaluate.summary(self.average, self.options.plates)
            self.say(f"step {self.step} crops {figures}")
        return right

    def run(self):
        torch.manual_seed(self.options.seed + self.block)
        end = time.monotonic() + self.options.hours * 3600
        checked, losses, seen, since = time.monotonic(), [], 0, time.monotonic()
        for batches in self.loader():
            for images, targets in batches:
                losses.append(self.learn(images, targets))
                seen += len(images)
            self.block += 1
            over = time.monotonic() > end or self.over()
            if over or time.monotonic() - checked > self.options.minutes * 60:
                speed = seen / (time.monotonic() - since)
                self.say(f"step {self.step} loss {np.mean(losses):.4f} images/s {speed:.0f} "
                         f"rate {self.rate():.2e}")
                self.keep(self.check())
                checked, losses, seen, since = time.monotonic(), [], 0, time.monotonic()
            if over:
                return

    def over(self):
        return self.final is not None and self.step >= self.final[1]

    def keep(self, right):
        if right >= self.best:
            self.best = right
            self.save("best.pt")
        self.save("last.pt")

    def loader(self):
        data = Blocks(self.options, self.block)
        order = range(len(data))
        return torch.utils.data.DataLoader(data, batch_size=None, sampler=order, num_workers=1,
                                           prefetch_factor=3, collate_fn=lambda item: item)


def reading_loss(scores, samples_given, step):
    """CTC over the places, left to right; at first with a hint where the characters are."""
    texts, middles = samples_given
    places = functional.log_softmax(scores.squeeze(2).permute(2, 0, 1), dim=2)
    loss = ctc_loss(places, texts)
    hint = max(0.0, 1 - step / HINTED_STEPS)
    return loss + hint * place_loss(places, texts, middles) if hint else loss


def ctc_loss(places, texts):
    targets = [alphabet.encode(text) for text in texts]
    lengths = torch.tensor([len(target) for target in targets])
    flat = torch.tensor([index for target in targets for index in target], dtype=torch.long)
    steps = torch.full((len(texts),), places.shape[0], dtype=torch.long)
    return functional.ctc_loss(places, flat, steps, lengths, alphabet.BLANK, zero_infinity=True)


def place_loss(places, texts, middles):
    """Cross entropy of each place: the character whose middle is there, nothing away from all."""
    steps = places.shape[0]
    wanted = torch.full((steps, len(texts)), alphabet.BLANK)
    for column, (text, where) in enumerate(zip(texts, middles)):
        rows = [int(np.clip(middle * steps, 0, steps - 1)) for middle in where]
        for row in rows:
            wanted[max(0, row - 1):row + 2, column] = UNSAID
        for row, index in zip(rows, alphabet.encode(text)):
            wanted[row, column] = index
    weights = torch.ones(alphabet.CLASSES)
    weights[alphabet.BLANK] = BLANK_WEIGHT
    return functional.nll_loss(places.permute(1, 2, 0), wanted.T, weights, ignore_index=UNSAID)


def province_loss(scores, samples_given, _step):
    (classes,) = samples_given
    return functional.cross_entropy(scores.flatten(1), torch.tensor(classes), label_smoothing=0.02)


LOSSES = {"reader": reading_loss, "province": province_loss}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=sorted(net.NETS), required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--plates", help="photographs with ground truth to measure with")
    parser.add_argument("--hours", type=float, default=1000.0)
    parser.add_argument("--minutes", type=float, default=5.0, help="between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--final", type=int, default=0, help="steps of a falling rate to end with")
    parser.add_argument("--bfloat16", action="store_true",
                        help="multiply in bfloat16: twice as fast on processors that have it")
    parser.add_argument("--start", help="exported net to go on from")
    parser.add_argument("--step", type=int, default=0, help="that the exported net had")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    random.seed(options.seed)
    np.random.seed(options.seed)
    Training(options).run()


if __name__ == "__main__":
    main()
