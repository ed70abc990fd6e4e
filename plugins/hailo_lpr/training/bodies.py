"""Bodies of vehicles as a stack of rounded outlines, from the sill to the roof, and how they are shaded.

A body has its own axes: u across, y up, w along, the front at positive w.
"""
import cv2
import numpy as np

TRIM_COLOUR = np.array((.025, .025, .027))
PAINT, GLASS, TRIM, LAMP, CHROME, MATTE = 1, 2, 3, 4, 5, 6
AROUND = 96  # Points of an outline.
LEVELS = 34  # Outlines of a body.
COARSE = 110  # Pixels: of a vehicle that is smaller, every second of both is enough.
LONGEST = 640  # Side of the picture in which one vehicle is drawn, in pixels.
SMALLEST = 2.0  # Pixels: a picture on a surface that is seen so narrow is left out.
ROUND = 5.0  # Exponent of the outline: 2 is an ellipse, more is squarer.
SMOOTH = 0.028  # Part of the height of a vehicle over which its normals are smoothed.


class Body:
    """levels: (y, rear, front, half the width) from below to the top."""

    def __init__(self, levels, trim):
        self.levels = np.array(levels, float)
        self.trim = trim  # Below this y there is no paint.
        self.height = self.levels[-1, 0]
        self.points, self.normals = self.grid()

    def level(self, y):
        """Rear, front and half the width at a height."""
        return [np.interp(y, self.levels[:, 0], self.levels[:, i]) for i in (1, 2, 3)]

    def grid(self):
        marks = np.arange(len(self.levels))
        places = np.linspace(0, len(self.levels) - 1, LEVELS)
        rows = np.column_stack([np.interp(places, marks, self.levels[:, i]) for i in range(4)])
        u, w = OUTLINE
        middle, half = (rows[:, 1] + rows[:, 2]) / 2, (rows[:, 2] - rows[:, 1]) / 2
        points = np.empty((LEVELS, AROUND, 3))
        points[:, :, 0] = rows[:, 3:4] * u
        points[:, :, 1] = rows[:, 0:1]
        points[:, :, 2] = middle[:, None] + half[:, None] * w
        along = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
        normals = np.cross(np.gradient(points, axis=0), along)
        length = np.linalg.norm(normals, axis=2, keepdims=True)
        return points, normals / np.maximum(length, 1e-9)

    def end(self, u, y, front):
        """A point of the front or the rear."""
        rear, fore, half = self.level(y)
        bow = (1 - np.clip(np.abs(u) / half, 0, 0.999) ** ROUND) ** (1 / ROUND)
        w = (rear + fore) / 2 + (1 if front else -1) * (fore - rear) / 2 * bow
        return np.column_stack([u, y, w])

    def side(self, w, y, right):
        rear, fore, half = self.level(y)
        place = np.clip(np.abs(w - (rear + fore) / 2) / ((fore - rear) / 2), 0, 0.999)
        u = half * (1 - place ** ROUND) ** (1 / ROUND) * (1 if right else -1)
        return np.column_stack([u, y, w])


def outline():
    """A rounded square with sides of 2, its points at even steps."""
    angle = np.linspace(0, 2 * np.pi, 4000)
    c, s = np.cos(angle), np.sin(angle)
    u = np.sign(c) * np.abs(c) ** (2 / ROUND)
    w = np.sign(s) * np.abs(s) ** (2 / ROUND)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(u), np.diff(w)))])
    places = np.linspace(0, length[-1], AROUND, endpoint=False)
    return np.interp(places, length, u), np.interp(places, length, w)


OUTLINE = outline()


class Canvas3:
    """The picture of one vehicle before it is lit: normals, materials and colours. Lives for one vehicle."""

    def __init__(self, view, pose, points):
        self.view, self.pose = view, pose
        flat, _ = view.project(pose.place(points))
        low = np.maximum(np.floor(flat.min(axis=0)) - 6, -40)
        high = np.minimum(np.ceil(flat.max(axis=0)) + 6, np.array(view.size) + 40)
        self.low = low.astype(int)
        self.room = np.maximum(high - low, 1).astype(int)
        self.scale = float(np.clip(LONGEST / self.room.max(), 1.0, 2.0))
        width, height = np.ceil(self.room * self.scale).astype(int)
        self.normal = np.zeros((height, width, 3), np.float32)
        self.material = np.zeros((height, width), np.uint8)
        self.colour = np.zeros((height, width, 3), np.float32)
        self.glow = np.zeros((height, width, 3), np.float32)

    def flat(self, points):
        return self.view.project(self.pose.place(points), self.scale, self.low)

    def faces_us(self, middle, normal):
        away = self.pose.place(middle[None])[0] - (0, self.view.height, 0)
        return float(away @ self.pose.turned(normal)) < 0

    def body(self, body, paint):
        """Draws the faces of a body that look at the camera, the far ones first."""
        step = 2 if self.room.max() < COARSE else 1
        points, normals = body.points[::step, ::step], body.normals[::step, ::step]
        rows, around = points.shape[:2]
        flat, depth = self.flat(points.reshape(-1, 3))
        flat = flat.reshape(rows, around, 2)
        right = np.roll(np.arange(around), -1)
        quads = np.stack([flat[:-1], flat[:-1][:, right], flat[1:][:, right], flat[1:]], axis=2)
        middles = ((points[:-1] + points[1:][:, right]) / 2).reshape(-1, 3)
        mean = (normals[:-1] + normals[:-1][:, right] + normals[1:][:, right] + normals[1:]) / 4
        world = self.pose.turned(mean.reshape(-1, 3))
        away = self.pose.place(middles) - (0, self.view.height, 0)
        seen = np.flatnonzero((away * world).sum(axis=1) < 0.02 * np.linalg.norm(away, axis=1))
        order = seen[np.argsort(-depth.reshape(rows, around)[:-1].reshape(-1)[seen])]
        quads = np.round(quads.reshape(-1, 4, 2) * 16).astype(np.int32)
        trim = middles[:, 1] < body.trim
        dusk = np.clip(.62 + .5 * middles[:, 1] / body.height, 0, 1)  # Less light comes near the ground.
        colours = np.where(trim[:, None], TRIM_COLOUR, paint * dusk[:, None]).tolist()
        kinds, world = np.where(trim, TRIM, PAINT).tolist(), world.tolist()
        for i in order:
            self.fill(quads[i], world[i], kinds[i], colours[i])
        top = np.round(flat[-1] * 16).astype(np.int32)
        self.fill(top, (0, 1.0, 0), PAINT, np.asarray(paint).tolist())

    def fill(self, polygon, normal, kind, colour):
        cv2.fillConvexPoly(self.normal, polygon, normal, cv2.LINE_8, 4)
        cv2.fillConvexPoly(self.material, polygon, kind, cv2.LINE_8, 4)
        cv2.fillConvexPoly(self.colour, polygon, colour, cv2.LINE_8, 4)

    def patch(self, points, kind, colour, glow=None):
        """A polygon of points of the surface, which keeps the normals of what is below it."""
        flat, _ = self.flat(points)
        polygon = [np.round(flat * 16).astype(np.int32)]
        cv2.fillPoly(self.material, polygon, kind, cv2.LINE_8, 4)
        cv2.fillPoly(self.colour, polygon, np.asarray(colour, float).tolist(), cv2.LINE_8, 4)
        if glow is not None:
            cv2.fillPoly(self.glow, polygon, np.asarray(glow, float).tolist(), cv2.LINE_8, 4)

    def line(self, points, width, colour):
        """A line on the surface, `width` in metres."""
        flat, depth = self.flat(points)
        thick = max(1, int(round(width * self.view.focal / max(depth.mean(), 0.4) * self.scale)))
        polygon = [np.round(flat * 16).astype(np.int32)]
        cv2.polylines(self.colour, polygon, False, np.asarray(colour, float).tolist(), thick, cv2.LINE_8, 4)

    def image(self, picture, alpha, corners, kind=None):
        """A picture (linear light) on four points of the surface, the upper left first and then round."""
        flat, _ = self.flat(corners)
        low = np.maximum(np.floor(flat.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(flat.max(axis=0)).astype(int) + 2, self.material.shape[::-1])
        if (high <= low).any() or (np.ptp(flat, axis=0) < SMALLEST).any():
            return
        rows, columns = picture.shape[:2]
        shrink = min(1.0, 1.25 * np.ptp(flat[:, 0]) / columns)
        if shrink < 0.8:
            size = tuple(max(1, int(side * shrink)) for side in (columns, rows))
            picture, alpha = (cv2.resize(p, size, interpolation=cv2.INTER_AREA)
                              for p in (picture, alpha))
            rows, columns = picture.shape[:2]
        source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(source, (flat - low).astype(np.float32))
        size = tuple(int(v) for v in high - low)
        picture = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR,
                                      borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpPerspective(alpha, matrix, size, flags=cv2.INTER_LINEAR)
        place = self.colour[low[1]:high[1], low[0]:high[0]]
        place += (picture - place) * alpha[:, :, None]
        if kind is not None:
            self.material[low[1]:high[1], low[0]:high[0]][alpha > 0.5] = kind

    def lit(self, light, skyline):
        """The picture in the light, and how much of each pixel is covered."""
        inside = self.material > 0
        side = max(3, int(self.material.shape[0] * SMOOTH)) | 1
        normal = cv2.blur(cv2.blur(self.normal, (side, side)), (side, side))[inside]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        kind, colour = self.material[inside], self.colour[inside]
        ray = self.pose.middle() - (0, self.view.height, 0)
        ray = (ray / np.linalg.norm(ray)).astype(np.float32)
        facing = normal @ ray
        mirror = ray - 2 * facing[:, None] * normal
        grazing = np.clip(1 + facing, 0, 1)
        grazing = grazing * grazing * grazing * grazing
        fresnel = (REFLECTANCE[kind] + (1 - REFLECTANCE[kind]) * SHINE[kind] * grazing)[:, None]
        sun = np.clip(normal @ light.sun, 0, 1)[:, None] * (light.sun_colour * np.float32(.55))
        out = colour * ((.62 + .38 * normal[:, 1:2]) * light.ambient + sun)
        around = light.around(mirror, skyline)
        spot = np.clip(mirror @ light.sun - .93, 0, 1) * 20
        around += (spot * spot)[:, None] * light.sun_colour
        out += (around - out) * fresnel
        picture = np.zeros(self.colour.shape, np.float32)
        picture[inside] = out + self.glow[inside]
        return self.reduced(picture, inside)

    def reduced(self, picture, inside):
        size = tuple(int(v) for v in self.room)
        cover = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cover


# By material: what is mirrored when looked at straight on, and how much more at grazing angles.
REFLECTANCE = np.array([0, 0.06, 0.10, 0.02, 0.10, 0.30, 0.0], np.float32)
SHINE = np.array([0, 0.9, 1.0, 0.25, 0.8, 0.6, 0.05], np.float32)


class Pose:
    """Where a vehicle stands and where it looks: heading 0 is away from the camera."""

    def __init__(self, x, z, heading):
        self.x, self.z, self.heading = x, z, heading
        c, s = np.cos(heading), np.sin(heading)
        self.matrix = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])

    def turned(self, vectors):
        return vectors @ self.matrix.T

    def place(self, points):
        return self.turned(points) + (self.x, 0, self.z)

    def middle(self):
        return np.array([self.x, 0.8, self.z])
