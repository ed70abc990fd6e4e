"""Takes a picture of a drawn plate: perspective, distance, light, dirt, blur, noise and compression,
and the crop that a detector would cut out of it. Grey images only.
"""
import cv2
import numpy as np

import plates

NOISES, NOISE_ROWS, NOISE_COLUMNS = 24, 160, 640
TEXTURES, TEXTURE_SIDE = 96, 256
MAX_SIDE = 480  # Of a crop before it is brought to the size of the net.
FEWEST_ROWS = 5


class Camera:
    """Holds banks of noise and of surroundings, both from one seed.

    ease: share of pictures that are near, sharp and clean.
    """

    def __init__(self, ease=0.3, seed=7):
        rng = np.random.default_rng(seed)
        self.ease = ease
        shape = (NOISES, NOISE_ROWS, NOISE_COLUMNS)
        self.noise = rng.standard_normal(shape, np.float32)
        self.textures = [texture(rng) for _ in range(TEXTURES)]

    def shoot(self, image, box, size, rng, rows=None):
        """The part box of a plate image as a crop of size (width, height), and the matrix that takes
        points of the plate image to the crop.

        rows: height of a character in the picture; chosen at random if not given.
        """
        easy = rng.random() < self.ease
        rows = rows or float(np.exp(rng.uniform(np.log(18 if easy else 9), np.log(44))))
        scale = rows / plates.INK
        width = int(np.clip((box[2] - box[0]) * scale, 12, MAX_SIDE))
        height = int(np.clip((box[3] - box[1]) * scale, FEWEST_ROWS, MAX_SIDE))
        image = image if easy else self.soil(image, rng)
        shot = self.surroundings(width, height, rng)
        matrix = self.project(image, box, shot, rng)
        shot = self.light(shot.astype(np.float32), rng)
        shot = shot if easy else self.blur(shot, rows, rng)
        shot = self.sense(shot, rng)
        return fit(shot, size), np.diag([size[0] / width, size[1] / height, 1.0]) @ matrix

    def surroundings(self, width, height, rng):
        whole = self.textures[int(rng.integers(TEXTURES))]
        side = int(rng.integers(24, TEXTURE_SIDE))
        x, y = rng.integers(0, TEXTURE_SIDE - side + 1, 2)
        return cv2.resize(whole[y:y + side, x:x + side], (width, height))

    def project(self, image, box, shot, rng):
        """Warps the plate over its surroundings; gives the matrix of the warp."""
        height, width = shot.shape
        scale = height / (box[3] - box[1])
        shrink = min(1.0, scale * 1.4)
        if shrink < 0.9:
            image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        else:
            shrink = 1.0
        source = corners(box) * shrink
        target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        target = lean(target, rng)
        matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
        cv2.warpPerspective(image, matrix, (width, height), dst=shot, flags=cv2.INTER_LINEAR,
                            borderMode=cv2.BORDER_TRANSPARENT)
        return matrix @ np.diag([shrink, shrink, 1.0])

    def soil(self, image, rng):
        """Dirt, wear and a shadow on the plate itself."""
        if rng.random() < 0.6:
            return image
        height, width = image.shape
        whole = self.textures[int(rng.integers(TEXTURES))]
        dirt = cv2.resize(whole, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        amount = rng.uniform(0.05, 0.45)
        mixed = image * (1 - amount) + dirt * amount
        if rng.random() < 0.3:
            edge = rng.uniform(0, width, 2)
            mask = np.zeros((height, width), np.uint8)
            side = [[int(edge[0]), 0], [int(edge[1]), height], [width, height], [width, 0]]
            cv2.fillConvexPoly(mask, np.array(side, np.int32), 255)
            mixed *= 1 - (mask > 0) * rng.uniform(0.2, 0.6)
        return mixed.astype(np.uint8)

    def light(self, shot, rng):
        """Gradient, glare and the darkness of night."""
        height, width = shot.shape
        if rng.random() < 0.5:
            ramp = np.linspace(*rng.uniform(0.6, 1.25, 2), width, dtype=np.float32)
            shot *= ramp[None, :]
        if rng.random() < 0.3:
            ramp = np.linspace(*rng.uniform(0.6, 1.25, 2), height, dtype=np.float32)
            shot *= ramp[:, None]
        if rng.random() < 0.08:
            spot = np.zeros((height, width), np.float32)
            centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            radius = max(2, int(height * rng.uniform(0.1, 0.5)))
            cv2.circle(spot, centre, radius, float(rng.uniform(60, 200)), -1)
            shot += cv2.GaussianBlur(spot, (0, 0), max(1.0, height * 0.15))
        return shot

    def blur(self, shot, rows, rng):
        choice = rng.random()
        if choice < 0.55:
            shot = cv2.GaussianBlur(shot, (0, 0), rng.uniform(0.2, max(0.5, rows * 0.06)))
        elif choice < 0.8:
            shot = cv2.filter2D(shot, -1, motion(rng.uniform(1.5, max(2.0, rows * 0.16)), rng))
        elif choice < 0.9:
            soft = cv2.GaussianBlur(shot, (0, 0), 1.0)
            shot = shot + (shot - soft) * rng.uniform(0.3, 1.2)
        return shot

    def sense(self, shot, rng):
        """Exposure, noise and compression."""
        gain = rng.uniform(0.35, 1.3) if rng.random() < 0.5 else 1.0
        lift = rng.uniform(-20, 70) * (1 - min(gain, 1.0)) if gain != 1.0 else 0.0
        strength = rng.uniform(0.5, 14 if rng.random() < 0.3 else 6)
        height, width = shot.shape
        bank = self.noise[int(rng.integers(NOISES))]
        y = int(rng.integers(0, NOISE_ROWS - min(height, NOISE_ROWS) + 1))
        x = int(rng.integers(0, NOISE_COLUMNS - width + 1))
        noise = bank[y:y + height, x:x + width]
        if noise.shape[0] < height:
            noise = cv2.resize(noise, (width, height))
        shot = np.clip(shot * gain + lift + noise * strength, 0, 255).astype(np.uint8)
        if rng.random() < 0.6:
            quality = int(rng.integers(25, 95))
            _, data = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, quality])
            shot = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        return 255 - shot if rng.random() < 0.02 else shot


def corners(box):
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def lean(points, rng):
    """Turns, shears and bends the corners of a crop as an oblique view does."""
    centre = points.mean(axis=0)
    width, height = points[2] - points[0]
    angle = np.radians(np.clip(rng.normal(0, 2.7), -9, 9))
    shear = np.clip(rng.normal(0, 0.07), -0.3, 0.3)
    turn = np.array([[np.cos(angle), -np.sin(angle) + shear], [np.sin(angle), np.cos(angle)]])
    moved = (points - centre) @ turn.T + centre
    return moved + rng.normal(0, 0.012, (4, 2)) * np.array([min(width, 2 * height), height])


def motion(length, rng):
    """A kernel along a mostly horizontal line."""
    size = int(length) * 2 + 1
    angle = rng.normal(0, 0.5)
    kernel = np.zeros((size, size), np.float32)
    half = length / 2
    centre = size // 2
    start = (int(round(centre - half * np.cos(angle))), int(round(centre - half * np.sin(angle))))
    end = (int(round(centre + half * np.cos(angle))), int(round(centre + half * np.sin(angle))))
    cv2.line(kernel, start, end, 1.0, 1)
    return kernel / kernel.sum()


def texture(rng):
    """Something that is no plate: soft clouds, edges, bars, grain."""
    image = np.full((TEXTURE_SIDE, TEXTURE_SIDE), rng.uniform(15, 235), np.float32)
    for cells in (2, 5, 16, 64):
        small = rng.normal(0, rng.uniform(2, 40) / np.sqrt(cells), (cells, cells)).astype(np.float32)
        image += cv2.resize(small, image.shape, interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 7))):
        start, end = rng.integers(0, TEXTURE_SIDE, (2, 2)).tolist()
        cv2.line(image, start, end, float(rng.uniform(0, 255)), int(rng.integers(1, 14)), cv2.LINE_AA)
    if rng.random() < 0.3:
        period = int(rng.integers(6, 30))
        axis = int(rng.integers(2))
        wave = np.arange(TEXTURE_SIDE) % period < period * rng.uniform(0.2, 0.7)
        wave = wave * rng.uniform(20, 120)
        image += wave[None, :] if axis else wave[:, None]
    return np.clip(image, 0, 255).astype(np.uint8)


def fit(shot, size):
    """Brings a crop to the size of a net as the plugin does: area if it gets smaller, else linear."""
    smaller = shot.shape[0] > size[1] and shot.shape[1] > size[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(shot, size, interpolation=way)
