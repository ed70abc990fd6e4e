"""Vehicles of street scenes: their bodies, lights, bumpers, grilles, wheels, badges, and where their
plates hang.
"""
import cv2
import numpy as np

import bodies
from bodies import CHROME, GLASS, LAMP, MATTE, PAINT, TRIM

# By kind: outlines (y, rear, front, half the width), glass from and to, pillars, trim below, height of the
# plate at the rear and the front, rear window (y), height of the lamps at rear and front.
SHAPES = {
    "saloon": {
        "levels": [(.20, -2.02, 2.05, .74), (.32, -2.22, 2.24, .87), (.50, -2.27, 2.28, .90),
                   (.66, -2.25, 2.25, .905), (.82, -2.22, 2.12, .90), (.93, -2.17, 1.92, .88),
                   (.99, -2.02, 1.55, .85), (1.02, -1.75, 1.12, .81), (1.05, -1.62, 1.02, .785),
                   (1.22, -1.22, .60, .69), (1.37, -.86, .22, .60), (1.42, -.66, .02, .52),
                   (1.45, -.42, -.16, .36)],
        "glass": (1.04, 1.38), "pillars": (-.35,), "trim": .27, "plate": (.76, .47), "lamps": (.80, .69)},
    "hatchback": {
        "levels": [(.20, -1.76, 1.80, .72), (.32, -1.92, 1.98, .84), (.48, -1.97, 2.02, .87),
                   (.66, -1.93, 1.97, .87), (.84, -1.88, 1.84, .865), (.95, -1.85, 1.62, .845),
                   (1.01, -1.82, 1.22, .81), (1.05, -1.79, .98, .775), (1.24, -1.64, .62, .69),
                   (1.42, -1.46, .26, .60), (1.48, -1.32, .05, .52), (1.51, -.96, -.2, .34)],
        "glass": (1.05, 1.43), "pillars": (-.3, -1.1), "trim": .27, "plate": (.70, .45), "lamps": (.88, .72)},
    "suv": {
        "levels": [(.30, -2.04, 2.06, .78), (.45, -2.22, 2.25, .91), (.62, -2.27, 2.30, .94),
                   (.85, -2.24, 2.26, .94), (1.02, -2.20, 2.14, .93), (1.13, -2.17, 1.85, .91),
                   (1.18, -2.15, 1.38, .87), (1.22, -2.12, 1.15, .84), (1.44, -2.00, .78, .75),
                   (1.62, -1.86, .48, .67), (1.68, -1.70, .30, .60), (1.71, -1.2, .0, .40)],
        "glass": (1.22, 1.63), "pillars": (-.3, -1.2), "trim": .52, "plate": (.88, .60), "lamps": (1.06, .92)},
    "van": {
        "levels": [(.28, -2.50, 2.40, .82), (.42, -2.60, 2.60, .96), (.62, -2.62, 2.66, .985),
                   (.95, -2.61, 2.62, .985), (1.12, -2.60, 2.50, .98), (1.20, -2.60, 2.25, .975),
                   (1.26, -2.59, 1.98, .97), (1.55, -2.58, 1.68, .95), (1.85, -2.56, 1.40, .92),
                   (2.05, -2.54, 1.22, .89), (2.14, -2.46, 1.06, .82), (2.18, -2.2, .8, .6)],
        "glass": (1.28, 1.80), "pillars": (.55, .0, -.4, -.8, -1.2, -1.6, -2.), "trim": .40,
        "plate": (.88, .56), "lamps": (1.15, .95)},
    "pickup": {
        "levels": [(.36, -2.50, 2.28, .78), (.50, -2.62, 2.46, .90), (.66, -2.66, 2.52, .93),
                   (.88, -2.64, 2.48, .93), (1.04, -2.62, 2.32, .925), (1.13, -2.60, 1.95, .91),
                   (1.16, -.86, 1.52, .88), (1.19, -.70, 1.30, .85), (1.40, -.56, .92, .77),
                   (1.58, -.42, .58, .69), (1.65, -.28, .40, .61), (1.68, -.1, .2, .40)],
        "glass": (1.20, 1.60), "pillars": (.2,), "trim": .48, "plate": (.66, .62), "lamps": (.92, .95)},
    "bus": {
        "levels": [(.34, -4.10, 4.20, 1.12), (.50, -4.24, 4.36, 1.24), (.80, -4.28, 4.42, 1.26),
                   (1.15, -4.28, 4.42, 1.27), (1.30, -4.28, 4.40, 1.27), (1.36, -4.27, 4.38, 1.265),
                   (2.00, -4.24, 4.28, 1.25), (2.55, -4.20, 4.18, 1.23), (2.85, -4.12, 4.06, 1.18),
                   (2.98, -3.9, 3.8, 1.0)],
        "glass": (1.36, 2.50), "pillars": tuple(np.arange(-4, 4.2, 1.1)), "trim": .46, "plate": (.72, .62),
        "lamps": (1.02, .85)},
}
KINDS = {"saloon": 0.27, "hatchback": 0.27, "suv": 0.2, "van": 0.1, "pickup": 0.1, "bus": 0.06}
# Linear light, (blue, green, red).
PAINTS = [(.62, .63, .62), (.62, .63, .62), (.30, .30, .29), (.10, .10, .10), (.012, .012, .012),
          (.012, .012, .012), (.03, .03, .33), (.28, .07, .02), (.05, .02, .01), (.05, .09, .02),
          (.34, .42, .45), (.02, .35, .62), (.12, .04, .10), (.04, .10, .16), (.45, .30, .12)]
BLACK, DARK = np.array((.012, .012, .012)), bodies.TRIM_COLOUR
PANE = np.array((.022, .020, .016))
BADGES = ("TURBO 4WD HYBRID Ecoline 2.0 TDI GLX 1600 ALTRO Vento CITY SPORT Nova V6 GTi Cruze 320 X5 A200 "
          "LIMITED MAX 1.8 E Premium").split()
FLANKS = ("TAXI", "Fresh Fish Daily", "City Express", "Plumbing & Heating", "TOURIST BUS", "AIRPORT LINE 12",
          "Bäckerei Sommer", "Super Clean", "ขนส่งด่วน", "รถรับส่ง", "www.example.org", "RENT A CAR")
PLATE_SIZES = {"eu": (.52, .113), "uk": (.52, .113), "us": (.305, .152), "br": (.40, .13), "th": (.34, .15),
               "in": (.50, .12), "stacked": (.24, .20)}
WHEEL = .32


class Vehicle:
    """One vehicle at its place. What hangs on it is drawn by draw()."""

    def __init__(self, kind, pose, rng, letters):
        self.kind, self.pose = kind, pose
        self.letters = letters  # Gives a mask of a line of words.
        shape = SHAPES[kind]
        self.shape = shape
        self.body = bodies.Body(shape["levels"], shape["trim"])
        self.wheel = {"bus": .48, "suv": .37, "pickup": .37, "van": .35}.get(kind, WHEEL)
        paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(.8, 1.15)
        if kind == "bus" and rng.random() < .5:
            paint = np.array((.03, .42, .72))
        self.paint = paint
        self.rng = rng

    @property
    def front(self):
        """Whether its front looks at the camera."""
        return np.cos(self.pose.heading) < 0

    def plate_corners(self, kind):
        """Where the plate hangs, in the axes of the vehicle: upper left as it is read, then round."""
        width, height = PLATE_SIZES[kind]
        y = self.shape["plate"][1 if self.front else 0]
        sign = -1 if self.front else 1
        rows = (y + height / 2, y - height / 2)
        u = np.array([-1, 1, 1, -1]) * sign * width / 2
        ys = np.array([rows[0], rows[0], rows[1], rows[1]])
        ends = self.body.end(u, ys, self.front)
        away = ends[:, 2].max() + .02 if self.front else ends[:, 2].min() - .02
        return np.column_stack([u, ys, np.full(4, away)])

    def ground(self):
        """Where it stands, for its shadow."""
        _, _, half = self.body.level(.5)
        rear, front, _ = self.body.level(.4)
        return np.array([(-half, 0, rear), (half, 0, rear), (half, 0, front), (-half, 0, front)])

    def draw(self, view, light, skyline, plate=None):
        """The picture of it in the light, its cover, and the place of both in the scene. plate: (picture
        in linear light, corners)."""
        hull = np.concatenate([self.body.points.reshape(-1, 3), self.ground()])
        canvas = bodies.Canvas3(view, self.pose, hull)
        self.wheels(canvas, inner=True)
        canvas.body(self.body, self.paint)
        for right in (True, False):
            middle = self.body.side(np.array([0.0]), np.array([.6]), right)[0]
            if canvas.faces_us(middle, np.array([1.0 if right else -1.0, 0, 0])):
                self.flank(canvas, right)
        (self.fore if self.front else self.rear)(canvas, light)
        if plate is not None:
            self.hang(canvas, light, *plate)
        picture, cover = canvas.lit(light, skyline)
        return picture, cover, canvas.low

    def hang(self, canvas, light, picture, corners):
        """The plate, which throws the light of lamps back."""
        shadow = corners + (0, -.012, 0)
        canvas.patch(widened(shadow, 1.06), MATTE, BLACK)
        canvas.image(picture, np.ones(picture.shape[:2], np.float32), corners, MATTE)
        if light.night:
            gain = self.rng.uniform(.22, .5)
            flat, _ = canvas.flat(corners)
            mask = np.zeros(canvas.material.shape, np.uint8)
            cv2.fillConvexPoly(mask, np.round(flat * 16).astype(np.int32), 255, cv2.LINE_8, 4)
            canvas.glow += canvas.colour * ((mask > 0) * np.float32(gain))[:, :, None]

    # Parts. Each is a few patches on the surface, from what is below to what is above.

    def end_box(self, canvas, u0, u1, y0, y1, kind, colour, glow=None):
        n = 8
        u = np.concatenate([np.linspace(u0, u1, n), np.linspace(u1, u0, n)])
        y = np.concatenate([np.full(n, y0), np.full(n, y1)])
        canvas.patch(self.body.end(u, y, self.front), kind, colour, glow)

    def blob(self, canvas, u, y, wide, tall):
        """A head or a seat behind a window."""
        angle = np.linspace(0, 2 * np.pi, 18)
        low = self.shape["glass"][0] + .015
        edge = self.body.end(u + wide * np.cos(angle), np.maximum(y + tall * np.sin(angle), low), self.front)
        canvas.patch(edge, GLASS, np.array((.034, .033, .032)))

    def end_line(self, canvas, u, y, width, colour):
        canvas.line(self.body.end(np.asarray(u, float), np.asarray(y, float), self.front), width, colour)

    def text(self, canvas, words, colour, corners):
        mask = self.letters(words)
        picture = np.empty(mask.shape + (3,), np.float32)
        picture[:] = colour
        canvas.image(picture, mask.astype(np.float32) / 255, corners)

    def end_text(self, canvas, words, u0, u1, y, height, colour):
        u = np.array([u0, u1, u1, u0]) * (-1 if self.front else 1)
        ys = np.array([y + height / 2] * 2 + [y - height / 2] * 2)
        self.text(canvas, words, colour, self.body.end(u, ys, self.front))

    def pane(self, canvas, share=.84):
        """The window at the end that is seen."""
        low, high = self.shape["glass"]
        y = np.linspace(low + .01, high - .02, 8)
        half = np.array([self.body.level(value)[2] for value in y]) * share
        u = np.concatenate([half, -half[::-1]])
        both = np.concatenate([y, y[::-1]])
        for by, kind, colour in ((1.035, TRIM, BLACK), (1.0, GLASS, PANE)):
            middle = (low + high) / 2
            canvas.patch(self.body.end(u * by, middle + (both - middle) * by, self.front), kind, colour)

    def rear(self, canvas, light):
        rng, shape = self.rng, self.shape
        _, _, half = self.body.level(shape["lamps"][0])
        lamp, plate = shape["lamps"][0], shape["plate"][0]
        boxy = self.kind in ("van", "bus", "pickup")
        wide, tall = (.13, .30) if boxy else (rng.uniform(.24, .40), rng.uniform(.10, .17))
        deep = half * (.985 if boxy else .97)
        self.window(canvas, light)
        for side in (-1, 1):
            self.tail_lamp(canvas, light, side, deep, wide, lamp, tall)
        lid = lamp - tall / 2 - .03
        if not boxy:
            self.end_line(canvas, (-deep * .62, -deep * .6, deep * .6, deep * .62),
                          (lamp + .08, lid - .22, lid - .22, lamp + .08), .008, BLACK)
        if rng.random() < .5:
            self.end_box(canvas, -half * .8, half * .8, shape["trim"], shape["trim"] + .16, TRIM, DARK)
        self.end_box(canvas, -.34, .34, plate - .12, plate + .13, PAINT, self.paint * .72)
        if rng.random() < .6:
            self.end_box(canvas, -.30, .30, plate + .115, plate + .145, CHROME, np.array((.4, .4, .4)))
        for side in (-1, 1):
            self.end_box(canvas, side * half * .9, side * half * .74, .40, .44, LAMP, np.array((.01, .01, .25)))
        self.badges(canvas, half, lamp if not boxy else plate + .25, plate)

    def tail_lamp(self, canvas, light, side, deep, wide, y, tall):
        red = np.array((.02, .015, .42))
        burning = np.array((.03, .02, .55)) if light.night or self.rng.random() < .2 else None
        outer, inner = side * deep, side * (deep - wide)
        self.end_box(canvas, outer, inner, y - tall / 2, y + tall / 2, LAMP, red, burning)
        if tall < .2:
            middle = outer + (inner - outer) * .6
            self.end_box(canvas, middle, inner, y - tall * .35, y - tall * .05, LAMP, np.array((.5, .5, .5)))
        else:
            self.end_box(canvas, outer, inner, y - tall * .2, y, LAMP, np.array((.05, .3, .7)))
            self.end_box(canvas, outer, inner, y - tall * .45, y - tall * .25, LAMP, np.array((.5, .5, .5)))

    def window(self, canvas, light):
        """What is seen through the rear window, and the wiper."""
        self.pane(canvas)
        low, high = self.shape["glass"]
        _, _, half = self.body.level((low + high) / 2)
        if self.kind in ("saloon", "hatchback", "suv"):
            for u in (-.36, .36):
                self.blob(canvas, u, low + (high - low) * .2, .15, (high - low) * .26)
        for share in np.linspace(.25, .9, 7):
            y = low + (high - low) * share
            self.end_line(canvas, (-half * .72, half * .72), (y, y), .003, np.array((.03, .035, .05)))
        if self.kind in ("hatchback", "suv"):
            self.end_line(canvas, (0, .36), (low + .02, low + .10), .016, BLACK)
        if self.rng.random() < .6:
            self.end_box(canvas, -.14, .14, high + .005, high + .028, LAMP, np.array((.02, .02, .35)))

    def badges(self, canvas, half, y, plate):
        rng = self.rng
        chrome = np.array((.55, .55, .55)) * rng.uniform(.5, 1.2)
        pick = lambda: BADGES[int(rng.integers(len(BADGES)))]  # noqa: E731
        for left in (True, False):
            if rng.random() < .55:
                width = rng.uniform(.14, .26)
                u = -half * .62 if left else half * .62 - width
                self.end_text(canvas, pick(), u, u + width, y - .13, .045, chrome)
        points = np.linspace(0, 2 * np.pi, 14)
        ring = self.body.end(.055 * np.cos(points), y + .045 * np.sin(points) - .02, self.front)
        canvas.patch(ring, CHROME, chrome)
        if self.kind in ("van", "bus"):
            words = FLANKS[int(rng.integers(len(FLANKS)))]
            self.end_text(canvas, words, -half * .7, half * .7, plate + .24, .12, rng.uniform(0, .7, 3))

    def fore(self, canvas, light):
        rng, shape = self.rng, self.shape
        y = shape["lamps"][1]
        _, _, half = self.body.level(y)
        plate = shape["plate"][1]
        self.dashboard(canvas)
        if self.kind != "bus":
            self.grille(canvas, half, y, plate)
        wide, tall = rng.uniform(.30, .42), rng.uniform(.10, .17)
        for side in (-1, 1):
            self.head_lamp(canvas, light, side, half * .96, wide, y, tall)
            if rng.random() < .8:
                self.end_box(canvas, side * half * .86, side * half * .62, plate - .10, plate - .02, TRIM, BLACK)
        self.end_box(canvas, -.30, .30, plate - .09, plate + .09, TRIM, DARK)

    def dashboard(self, canvas):
        """Seats, people and the mirror behind the windscreen."""
        self.pane(canvas, .9)
        low, high = self.shape["glass"]
        tall = high - low
        for u in (-.36, .36):
            self.blob(canvas, u, low + tall * .16, .19, tall * .3)
            self.blob(canvas, u, low + tall * .52, .085, tall * .17)
        self.end_box(canvas, -.10, .10, low + tall * .82, low + tall * .94, GLASS, BLACK)
        self.end_line(canvas, (-.6, .1), (low + .01, low + .07), .02, BLACK)

    def grille(self, canvas, half, y, plate):
        rng = self.rng
        width, low, high = rng.uniform(.36, .56), plate + .10, y + rng.uniform(.02, .08)
        chrome = np.array((.5, .5, .5)) if rng.random() < .6 else np.array((.03, .03, .03))
        self.end_box(canvas, -width - .015, width + .015, low - .012, high + .015, CHROME, chrome)
        self.end_box(canvas, -width, width, low, high, TRIM, BLACK)
        if rng.random() < .6:
            for row in np.linspace(low, high, int(rng.integers(3, 7)))[1:-1]:
                self.end_line(canvas, (-width, 0, width), (row, row, row), .012, chrome * .8)
        else:
            for u in np.linspace(-width, width, 14)[1:-1]:
                self.end_line(canvas, (u, u), (low, high), .008, chrome * .6)
        points = np.linspace(0, 2 * np.pi, 16)
        ring = self.body.end(.07 * np.cos(points), (low + high) / 2 + .055 * np.sin(points), True)
        canvas.patch(ring, CHROME, np.array((.5, .5, .5)))
        self.end_box(canvas, -half * .55, half * .55, plate - .19, plate - .11, TRIM, BLACK)

    def head_lamp(self, canvas, light, side, deep, wide, y, tall):
        outer, inner = side * deep, side * (deep - wide)
        self.end_box(canvas, outer, inner, y - tall / 2, y + tall / 2, LAMP, np.array((.16, .16, .16)))
        burning = light.night or self.rng.random() < .25
        for share in (.35, .68):
            u = outer + (inner - outer) * share
            points = np.linspace(0, 2 * np.pi, 12)
            ring = self.body.end(u + tall * .36 * np.cos(points), y + tall * .36 * np.sin(points), True)
            glow = np.array((1.6, 1.7, 1.8)) if burning and share < .5 else None
            canvas.patch(ring, LAMP, np.array((.6, .6, .6)), glow)
        self.end_box(canvas, outer, inner, y + tall * .40, y + tall * .5, LAMP, np.array((.7, .7, .7)))

    def flank(self, canvas, right):
        """A side: doors, handles, lettering, wheels."""
        shape, rng = self.shape, self.rng
        self.panes(canvas, right)
        rear, front, _ = self.body.level(.7)
        belt = shape["glass"][0]
        doors = (-.85, .12, .95) if self.kind != "bus" else (3.2, 4.0)
        for w in doors:
            line = self.body.side(np.full(5, w), np.linspace(shape["trim"] + .05, belt, 5), right)
            canvas.line(line, .008, BLACK)
        handle = belt - .12
        for w in doors[:2] if self.kind != "bus" else ():
            canvas.patch(self.side_box(w + .06, w + .24, handle - .015, handle + .015, right), CHROME,
                         self.paint * .6)
        if self.kind in ("van", "bus") and rng.random() < .7:
            words = FLANKS[int(rng.integers(len(FLANKS)))]
            w0, w1 = (rear * .75, front * .2)
            ends = np.array([w0, w1, w1, w0] if right else [w1, w0, w0, w1])
            tall = .22 if self.kind == "bus" else .18
            ys = np.array([belt - .10] * 2 + [belt - .10 - tall] * 2)
            self.text(canvas, words, rng.uniform(0, .7, 3), self.body.side(ends, ys, right))
        self.wheels(canvas, inner=False, right=right)
        mirror = self.body.side(np.array([shape["levels"][7][2] * .85]), np.array([belt + .03]), right)[0]
        out = np.array([.16 if right else -.16, 0, 0])
        box = np.array([(0, -.05, 0), (0, .08, 0), (1, .08, 0), (1, -.05, 0)]) * (out[0], 1, 1)
        canvas.patch(mirror + box, PAINT, self.paint * .8)

    def panes(self, canvas, right):
        """The windows of a side, between its pillars."""
        low, high = self.shape["glass"]
        y = np.linspace(low + .02, high - .03, 6)
        edges = np.array([self.body.level(value) for value in y])
        length = edges[:, 1] - edges[:, 0]
        places = [edges[:, 0] + .12 * length]
        for pillar in sorted(self.shape["pillars"]):
            inside = (pillar > edges[:, 0] + .16 * length) & (pillar < edges[:, 1] - .16 * length)
            if inside.all():
                places.append(np.full(6, pillar))
        places.append(edges[:, 1] - .10 * length)
        for a, b in zip(places, places[1:]):
            w = np.concatenate([a + .035, (b - .035)[::-1]])
            shape = self.body.side(w, np.concatenate([y, y[::-1]]), right)
            canvas.patch(shape, GLASS, PANE)

    def side_box(self, w0, w1, y0, y1, right):
        w = np.array([w0, w1, w1, w0])
        return self.body.side(w, np.array([y0, y0, y1, y1]), right)

    def wheels(self, canvas, inner, right=True):
        """The wheels: inner, what of them is seen below the body; else the outside of one side."""
        rear, front, half = self.body.level(.5)
        radius, angle = self.wheel, np.linspace(0, 2 * np.pi, 26)
        for w in (rear + (front - rear) * .19, front - (front - rear) * .17):
            circle = np.column_stack([np.zeros(26), radius + radius * np.sin(angle), w + radius * np.cos(angle)])
            if inner:
                for u in (-half + .06, half - .06):
                    both = np.concatenate([circle + (u - .1, 0, 0), circle + (u + .1, 0, 0)])
                    self.solid(canvas, both)
                continue
            place = (half + .004) * (1 if right else -1)
            arch = (circle - (0, radius, w)) * (1, 1.14, 1.14) + (place, radius, w)
            canvas.patch(arch * (1, 1, 1) + (0, .02, 0), TRIM, BLACK)
            canvas.patch(circle + (place, 0, 0), TRIM, DARK * .8)
            rim = (circle - (0, radius, w)) * .66 + (place * 1.004, radius, w)
            canvas.patch(rim, MATTE, np.array((.30, .30, .30)))
            for spoke in np.linspace(0, 2 * np.pi, 6)[:-1]:
                gap = spoke + np.array((.25, 1.0, 1.0, .25))
                reach = radius * np.array((.25, .25, .58, .58))
                hole = np.column_stack([np.full(4, place * 1.006), radius + reach * np.sin(gap), w + reach * np.cos(gap)])
                canvas.patch(hole, TRIM, BLACK)

    def solid(self, canvas, points):
        flat, _ = canvas.flat(points)
        hull = cv2.convexHull(flat.astype(np.float32))
        canvas.fill(np.round(hull * 16).astype(np.int32), (0, .3, -.9), TRIM, BLACK.tolist())


def widened(corners, by):
    middle = corners.mean(axis=0)
    return middle + (corners - middle) * by


def choose(rng):
    kinds = list(KINDS)
    return kinds[int(rng.choice(len(kinds), p=list(KINDS.values())))]
