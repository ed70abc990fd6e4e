"""Samples for training and checking: crops with what is to be read of them. Everything follows from a
seed and the number of a block, so that a training can stop and go on anywhere.
"""
import numpy as np

import alphabet
import camera
import canvas
import grammar as grammars
import plates

READER_SIZE = (160, 48)  # Width and height of the input of the reader,
PROVINCE_SIZE = (160, 32)  # and of the province classifier.
SHOTS = 4  # Pictures taken of each plate.
SHARES = {"us": 0.27, "eu": 0.18, "br": 0.13, "th": 0.32, "uk": 0.05, "in": 0.05}
NEGATIVES = 0.07  # Share of crops in which there is nothing to read.
WORDS = ("TAXI Police polizei ambulance SALE www.example.org Hotel Motors Auto Centre call 555 "
         "diesel turbo HYBRID quattro open Parking Exit delivery express EMERGENCY STOP Coffee "
         "โรงพยาบาล ตลาด ถนน รถเช่า ห้ามจอด").split()


class Source:
    """Makes blocks of samples; thread-compatible."""

    def __init__(self, seed, ease=0.3):
        self.seed = seed
        self.grammars = grammars.load_all()
        self.names = list(SHARES)
        self.painter = plates.Painter()
        self.camera = camera.Camera(ease)

    def readings(self, block, count):
        """Images (count, 48, 160), their readings, "" where there is nothing to read, and for each
        character its place from left to right as a part of the width."""
        rng = np.random.default_rng((self.seed, 1, block))
        found = []
        while len(found) < count:
            plate = self.plate(rng)
            for _ in range(SHOTS):
                make = self.negative if rng.random() < NEGATIVES else self.positive
                found.append(make(plate, rng))
        images, texts, places = zip(*[found[i] for i in rng.permutation(len(found))[:count]])
        return np.stack(images), list(texts), list(places)

    def provinces(self, block, count):
        """Images (count, 32, 160) and the classes of their provinces; 0 where there is none."""
        rng = np.random.default_rng((self.seed, 2, block))
        images, classes = [], []
        while len(images) < count:
            index = int(rng.integers(alphabet.PROVINCE_CLASSES - 1))
            plate = self.plate(rng, "th", alphabet.PROVINCES[index])
            for _ in range(SHOTS):
                none = rng.random() < NEGATIVES
                box = self.wrong_box(plate, rng) if none else around(plate.province_box, rng, 0.25)
                rows = (plates.INK / (box[3] - box[1])) * np.exp(rng.uniform(np.log(12), np.log(40)))
                images.append(self.camera.shoot(plate.image, box, PROVINCE_SIZE, rng, rows)[0])
                classes.append(0 if none else index + 1)
        order = rng.permutation(len(images))[:count]
        return np.stack([images[i] for i in order]), [classes[i] for i in order]

    def plate(self, rng, name=None, province=None):
        name = name or self.names[int(rng.choice(len(self.names), p=list(SHARES.values())))]
        grammar = self.grammars[name]
        form = grammar.choose(rng)
        return self.painter.plate(grammar, form, form.generate(rng), rng, province)

    def positive(self, plate, rng):
        """A crop of a whole plate, or of one of its lines as the character-line detector cuts it."""
        line = plate.lines[int(rng.integers(len(plate.lines)))]
        if len(plate.lines) == 1 and rng.random() < 0.5:
            box = whole(plate, rng)
        else:
            box = around(line.box, rng, 0.35)
        image, matrix = self.camera.shoot(plate.image, box, READER_SIZE, rng)
        return image, grammars.reading_of(line.text), across(line.middles, matrix)

    def negative(self, plate, rng):
        kind = rng.random()
        rows = None
        image = plate.image
        if kind < 0.3:  # Half of a line: the upper or the lower one.
            box = half(plate.lines[0].box, rng)
        elif kind < 0.4:  # Too far away.
            box, rows = whole(plate, rng), rng.uniform(1.5, 3.5)
        elif kind < 0.5 and plate.province_box:
            box = around(plate.province_box, rng, 0.1)
        elif kind < 0.75:
            image = self.words(rng)
            box = (0, 0, image.shape[1], image.shape[0])
        else:
            image = self.camera.surroundings(300, 90, rng)
            box = (0, 0, 300, 90)
        return self.camera.shoot(image, box, READER_SIZE, rng, rows)[0], "", []

    def wrong_box(self, plate, rng):
        """A part of a Thai plate without its province."""
        x0, y0, x1, y1 = plate.lines[0].box
        if rng.random() < 0.6:
            return around((x0, y0, x1, y1), rng, 0.1)
        return half(plate.province_box, rng)

    def words(self, rng):
        """Lettering that is no plate."""
        board = canvas.Canvas(300, 70, rng.integers(0, 256, 3), 1)
        count = int(rng.integers(1, 4))
        text = " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), count))
        thai = any(letter in alphabet.THAI for letter in text)
        colour = rng.integers(0, 256, 3)
        kind = "thai" if thai else "latin"
        self.painter.centred(board, kind, text, (0.15, 0.85), 0.95, colour, rng)
        return board.image


def across(points, matrix):
    """The places of points in a crop as parts of its width."""
    moved = np.column_stack([np.array(points), np.ones(len(points))]) @ matrix.T
    return (moved[:, 0] / moved[:, 2] / READER_SIZE[0]).tolist()


def whole(plate, rng):
    """The box of a plate as a detector gives it, never through the characters."""
    height, width = plate.image.shape[:2]
    x0, y0, x1, y1 = plate.lines[0].box
    change = rng.uniform(-0.05, 0.12, 4) * (width * 0.5, height, width * 0.5, height)
    return (min(x0 - 1, -change[0]), min(y0 - 1, -change[1]),
            max(x1 + 1, width + change[2]), max(y1 + 1, height + change[3]))


def around(box, rng, most):
    """The box of a line with the margins that its detector leaves."""
    x0, y0, x1, y1 = box
    height = y1 - y0
    left, right = rng.uniform(-0.02, most * 1.6, 2) * height
    above, below = rng.uniform(-0.02, most, 2) * height
    return (x0 - left, y0 - above, x1 + right, y1 + below)


def half(box, rng):
    x0, y0, x1, y1 = box
    height = y1 - y0
    cut = height * rng.uniform(0.42, 0.6)
    if rng.random() < 0.5:
        return (x0 - 4, y0 + cut, x1 + 4, y1 + cut * 0.6)
    return (x0 - 4, y0 - cut * 0.6, x1 + 4, y1 - cut)
