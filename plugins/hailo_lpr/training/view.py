"""The camera of a street scene, and the light that falls into it. Metres: x to the right, y up, z away from
the camera; colours are linear light, (blue, green, red).
"""
import numpy as np

NEAREST = 0.4  # Nothing nearer is drawn.


class View:
    """A pinhole camera at (0, height, 0). Thread-safe."""

    def __init__(self, size, focal, height, pitch, yaw):
        self.size = size  # Width and height in pixels.
        self.focal = focal
        self.height = height
        self.yaw = yaw
        c, s = np.cos(pitch), np.sin(pitch)
        tilt = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        c, s = np.cos(yaw), np.sin(yaw)
        self.turn = tilt @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])

    def project(self, points, scale=1.0, origin=(0.0, 0.0)):
        """Pixels (n, 2) of points (n, 3), and their distances along the axis."""
        seen = (np.asarray(points, float) - (0, self.height, 0)) @ self.turn.T
        depth = np.maximum(seen[:, 2], NEAREST)
        middle = np.array(self.size) / 2
        flat = np.column_stack([seen[:, 0], -seen[:, 1]]) / depth[:, None] * self.focal + middle
        return (flat - origin) * scale, seen[:, 2]

    def rays(self, step=1):
        """Directions in the world of the middles of all pixels, (rows, columns, 3), of length about 1."""
        width, height = self.size
        x = (np.arange(0, width, step, dtype=np.float32) + 0.5 - width / 2) / self.focal
        y = (height / 2 - np.arange(0, height, step, dtype=np.float32) - 0.5) / self.focal
        rays = np.empty((len(y), len(x), 3), np.float32)
        for axis in range(3):
            column = self.turn[:, axis].astype(np.float32)
            rays[:, :, axis] = x[None, :] * column[0] + (y * column[1] + column[2])[:, None]
        return rays

    def horizon(self):
        """The row of the horizon in the middle of the picture."""
        ahead = self.turn.T @ (0, 0, 1)
        (pixel,), _ = self.project([np.array([ahead[0], 0, ahead[2]]) * 1e5 + (0, self.height, 0)])
        return pixel[1]

    def pixels_a_metre(self, point):
        _, depth = self.project([point])
        return self.focal / max(float(depth[0]), NEAREST)


class Light:
    """What shines: the sun or the moon, the sky, and at night the lamps."""

    def __init__(self, rng, night=None):
        self.night = rng.random() < 0.22 if night is None else night
        kind = "night" if self.night else ("clear", "clear", "overcast", "low")[int(rng.integers(4))]
        self.kind = kind
        angle = rng.uniform(0, 2 * np.pi)
        height = {"low": rng.uniform(0.25, 0.45), "night": 0.9}.get(kind, rng.uniform(0.6, 1.1))
        self.sun = np.array([np.cos(angle) * np.cos(height), np.sin(height),
                             np.sin(angle) * np.cos(height)], np.float32)
        colours = {
            "clear": ((2.0, 2.2, 2.4), (0.75, 0.48, 0.26), (0.95, 0.85, 0.75), 0.48),
            "overcast": ((0.25, 0.25, 0.25), (0.62, 0.58, 0.54), (0.80, 0.78, 0.76), 0.62),
            "low": ((0.75, 1.4, 2.2), (0.50, 0.36, 0.30), (0.50, 0.68, 0.95), 0.42),
            "night": ((0.03, 0.03, 0.03), (0.020, 0.012, 0.008), (0.06, 0.055, 0.06), 0.055),
        }
        sun, zenith, horizon, ambient = colours[kind]
        self.sun_colour, self.zenith, self.horizon = (np.array(c, np.float32)
                                                      for c in (sun, zenith, horizon))
        mixed = 0.6 * self.horizon + 0.4 * self.zenith
        self.ambient = (ambient * mixed / self.horizon.mean()).astype(np.float32)
        self.ground = self.horizon * np.float32(0.16)
        self.haze = float(np.exp(rng.uniform(np.log(0.0004), np.log(0.003))))

    def around(self, directions, skyline):
        """What a mirror shows that looks into these directions (n, 3): sky, street, houses between."""
        up = directions[:, 1]
        turn = np.arctan2(directions[:, 0], directions[:, 2]) * np.float32(len(skyline) / 2 / np.pi)
        houses = skyline[turn.astype(np.int32) % len(skyline)]
        sky = np.clip(up, 0, 1)[:, None] ** np.float32(.6) * (self.zenith - self.horizon) + self.horizon
        above = np.clip((up - .04 - .2 * houses) / .06, 0, 1)
        sky *= (above + (1 - above) * (.12 + .1 * houses))[:, None]
        blend = np.clip((up + .03) / .06, 0, 1)[:, None]
        return sky * blend + self.ground * (1.2 - .6 * np.clip(-up, 0, 1))[:, None] * (1 - blend)
