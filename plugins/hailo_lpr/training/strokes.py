"""A face of our own in the manner of embossed plates: every character is a few strokes of one width
with round ends and corners of a chosen radius, so that one description gives square, oval, narrow
and wide dies.

Strokes are lists of points in a box of 1 by 1, y downwards. An arc is ("arc", centre x, centre y,
radius x, radius y, from, to) in degrees, clockwise from the right. R stands for the corner radius.
"""
import cv2
import numpy as np

SCALE = 4  # Drawn larger, then reduced, for smooth edges.


def box(x0, y0, x1, y1, r, corners="abcd"):
    """A closed rectangle whose named corners are round: a upper left, then clockwise."""
    rx, ry = min(r, (x1 - x0) / 2), min(r * 0.6, (y1 - y0) / 2)
    places = {"a": (x0, y0, 180), "b": (x1, y0, 270), "c": (x1, y1, 0), "d": (x0, y1, 90)}
    path = []
    for name, (x, y, start) in places.items():
        if name in corners:
            cx = x + rx if x == x0 else x - rx
            cy = y + ry if y == y0 else y - ry
            path.append(("arc", cx, cy, rx, ry, start, start + 90))
        else:
            path.append((x, y))
    return path + [first_point(path[0])]


def first_point(step):
    return on_arc(step, step[5]) if step[0] == "arc" else step


def on_arc(step, angle):
    _, cx, cy, rx, ry, _, _ = step
    return cx + rx * np.cos(np.radians(angle)), cy + ry * np.sin(np.radians(angle))


def bowl(x0, y0, x1, y1, r):
    """Open on the left: the bows of B, D, P and R."""
    rx, ry = min(r, x1 - x0), min(r * 0.6, (y1 - y0) / 2)
    return [(x0, y0), ("arc", x1 - rx, y0 + ry, rx, ry, 270, 360),
            ("arc", x1 - rx, y1 - ry, rx, ry, 0, 90), (x0, y1)]


def hook(r, top, bottom):
    """C and G: open on the right from top to bottom."""
    rx, ry = min(r, 0.5), r * 0.6
    return [(1, top), ("arc", 1 - rx, ry, rx, ry, 360, 270), ("arc", rx, ry, rx, ry, 270, 180),
            ("arc", rx, 1 - ry, rx, ry, 180, 90), ("arc", 1 - rx, 1 - ry, rx, ry, 90, 0), (1, bottom)]


def snake(r, middle):
    rx, ry = min(r, 0.5), min(r * 0.6, middle / 2, (1 - middle) / 2)
    return [(1, ry + 0.06), ("arc", 1 - rx, ry, rx, ry, 360, 270), ("arc", rx, ry, rx, ry, 270, 180),
            ("arc", rx, middle - ry, rx, ry, 180, 90),
            ("arc", 1 - rx, middle + ry, rx, ry, 270, 360), ("arc", 1 - rx, 1 - ry, rx, ry, 0, 90),
            ("arc", rx, 1 - ry, rx, ry, 90, 180), (0, 1 - ry - 0.06)]


def three(r, middle):
    rx, ry = min(r, 0.5), min(r * 0.6, middle / 2)
    upper = [(0, ry + 0.04), ("arc", rx, ry, rx, ry, 180, 270), ("arc", 1 - rx, ry, rx, ry, 270, 360),
             ("arc", 1 - rx, middle - ry, rx, ry, 0, 90), (0.35, middle)]
    lower = [(0.35, middle), ("arc", 1 - rx, middle + ry, rx, ry, 270, 360),
             ("arc", 1 - rx, 1 - ry, rx, ry, 0, 90), ("arc", rx, 1 - ry, rx, ry, 90, 180),
             (0, 1 - ry - 0.04)]
    return [upper, lower]


def two(r):
    rx, ry = min(r, 0.5), r * 0.6
    return [(0, ry + 0.04), ("arc", rx, ry, rx, ry, 180, 270), ("arc", 1 - rx, ry, rx, ry, 270, 360),
            (1, max(0.3, ry + 0.02)), (0, 1), (1, 1)]


def five(r, middle):
    rx, ry = min(r, 0.5), min(r * 0.6, (1 - middle) / 2)
    return [(0.95, 0), (0.05, 0), (0, middle + 0.02),
            ("arc", 1 - rx, middle + ry - 0.04, rx, ry, 270, 360),
            ("arc", 1 - rx, 1 - ry, rx, ry, 0, 90), ("arc", rx, 1 - ry, rx, ry, 90, 180),
            (0, 1 - ry - 0.04)]


def six(r, middle):
    rx, ry = min(r, 0.5), r * 0.6
    top = [(1, ry + 0.05), ("arc", 1 - rx, ry, rx, ry, 360, 270),
           ("arc", rx, ry, rx, ry, 270, 180), (0, 0.7)]
    return [top, box(0, middle - 0.05, 1, 1, r)]


def nine(r, middle):
    turned = [[turn(step) for step in stroke] for stroke in six(r, 1 - middle)]
    return turned


def turn(step):
    if step[0] == "arc":
        return ("arc", 1 - step[1], 1 - step[2], step[3], step[4], step[5] + 180, step[6] + 180)
    return 1 - step[0], 1 - step[1]


FOURS = (  # The stem as high as the figure, a short stem beside a slope, a steep slope.
    [[(0.75, 1), (0.75, 0), (0, 0.7), (1, 0.7)]],
    [[(0.62, 0), (0, 0.68), (1, 0.68)], [(0.72, 0.4), (0.72, 1)]],
    [[(0.45, 0), (0, 0.74), (1, 0.74)], [(0.7, 0.46), (0.7, 1)]],
)


def describe(r, middle, flat, bar, slab, four):
    """All characters for a corner radius and height of the middle bar; flat: 3 with a flat top and 1
    with a foot; bar: 1 as a bar; slab: I with head and foot; four: which of FOURS.
    """
    letters = {
        "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.68), (0.8, 0.68)]],
        "B": [[(0, 0), (0, 1)], bowl(0, 0, 0.92, middle, r), bowl(0, middle, 1, 1, r)],
        "C": [hook(r, 0.3, 0.7)],
        "D": [[(0, 0), (0, 1)], bowl(0, 0, 1, 1, r)],
        "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, middle), (0.8, middle)]],
        "F": [[(1, 0), (0, 0), (0, 1)], [(0, middle), (0.8, middle)]],
        "G": [hook(r, 0.3, 0.55), [(1, 0.55), (0.55, 0.55)]],
        "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, middle), (1, middle)]],
        "I": [[(0.5, 0), (0.5, 1)]],
        "J": [[(1, 0), ("arc", 1 - min(r, .5), 1 - r * 0.6, min(r, .5), r * 0.6, 0, 90),
               ("arc", min(r, .5), 1 - r * 0.6, min(r, .5), r * 0.6, 90, 180), (0, 0.7)]],
        "K": [[(0, 0), (0, 1)], [(1, 0), (0, 0.58)], [(0.3, 0.42), (1, 1)]],
        "L": [[(0, 0), (0, 1), (1, 1)]],
        "M": [[(0, 1), (0, 0), (0.5, 0.62), (1, 0), (1, 1)]],
        "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
        "O": [box(0, 0, 1, 1, r)],
        "P": [[(0, 0), (0, 1)], bowl(0, 0, 1, middle + 0.06, r)],
        "Q": [box(0, 0, 1, 1, r), [(0.58, 0.72), (1, 1.04)]],
        "R": [[(0, 0), (0, 1)], bowl(0, 0, 1, middle + 0.02, r), [(0.45, middle), (1, 1)]],
        "S": [snake(r, middle)],
        "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
        "U": [[(0, 0), ("arc", min(r, .5), 1 - r * 0.6, min(r, .5), r * 0.6, 180, 90),
               ("arc", 1 - min(r, .5), 1 - r * 0.6, min(r, .5), r * 0.6, 90, 0), (1, 0)]],
        "V": [[(0, 0), (0.5, 1), (1, 0)]],
        "W": [[(0, 0), (0.22, 1), (0.5, 0.35), (0.78, 1), (1, 0)]],
        "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
        "Y": [[(0, 0), (0.5, 0.5), (1, 0)], [(0.5, 0.5), (0.5, 1)]],
        "Z": [[(0, 0), (1, 0), (0, 1), (1, 1)]],
        "0": [box(0, 0, 1, 1, r)],
        "1": [[(0.1, 0.22), (0.5, 0), (0.5, 1)]] + ([[(0.1, 1), (0.9, 1)]] if flat else []),
        "2": [two(r)],
        "3": [[(0, 0), (1, 0), (0.42, 0.4)], five(r, 0.4)[2:]] if flat else three(r, middle - 0.02),
        "4": FOURS[four],
        "5": [five(r, 0.42)],
        "6": six(r, middle),
        "7": [[(0, 0), (1, 0), (0.35, 1)]],
        "8": [box(0.05, 0, 0.95, middle, r), box(0, middle, 1, 1, r)],
        "9": nine(r, middle),
    }
    if flat:
        letters["3"][1][0] = (0.42, 0.4)
    if bar:
        letters["1"] = letters["I"]
    if slab:
        letters["I"] = letters["I"] + [[(0, 0), (1, 0)], [(0, 1), (1, 1)]]
    return letters


def points_of(stroke):
    out = []
    for step in stroke:
        if step[0] == "arc":
            out.extend(on_arc(step, angle) for angle in np.linspace(step[5], step[6], 9))
        else:
            out.append(step)
    return np.array(out)


class StrokeFace:
    """One die: width of a character and of its strokes as parts of its height."""

    def __init__(self, width, stroke, radius, middle=0.48, flat=False, bar=False, slab=False, four=0):
        self.width = width
        self.stroke = stroke
        self.strokes = describe(radius, middle, flat, bar, slab, four)
        self.bars = ("1" if bar else "") + ("" if slab else "I")

    def glyph(self, character, height):
        """A mask of the character: cropped to its width, height rows."""
        big = height * SCALE
        pen = max(2, int(big * self.stroke))
        width = self.width_of(character)
        mask = np.zeros((big, int(big * width)), np.uint8)
        room = np.array([mask.shape[1] - pen - 1, big - pen - 1])
        for stroke in self.strokes[character]:
            points = (points_of(stroke) * room + pen / 2).astype(np.int32)
            cv2.polylines(mask, [points], False, 255, pen, cv2.LINE_AA)
        size = (max(1, mask.shape[1] // SCALE), height)
        return cv2.resize(mask, size, interpolation=cv2.INTER_AREA)

    def width_of(self, character):
        if character in self.bars:
            return self.stroke * 1.15
        if character in "MW":
            return self.width * 1.22
        if character == "I":
            return max(self.width * 0.6, self.stroke * 2.4)
        return self.width * (0.7 if character == "1" else 1)
