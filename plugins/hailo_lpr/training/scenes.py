#!/usr/bin/env python3
"""Makes street scenes with number plates, and beside each picture a text file that says where its plates
are and what they say: file name, x, y, width, height, text, and for Thai plates the province, separated by
tabs; a scene without plates has an empty file.

    ./dev scenes OUT [--count N] [--seed S] [--size 1280x720] [--looks th,eu,us] [--plain 0.1]
"""
import argparse
import pathlib
import sys
import time

import cv2
import numpy as np

import bodies
import grammar as grammars
import plates
import street
import vehicles
import view as views
import weather

LOOKS = {"th": .34, "eu": .33, "us": .33}
MOST_PLATES = 3
WIDEST_SCENE = 4096
TRIES = 40  # For a free place.
PLATE_PIXELS = {"eu": (84, 210), "uk": (84, 210), "us": (66, 170), "br": (84, 230), "th": (74, 180),
                "in": (84, 210), "stacked": (54, 130)}
QUIETEST = 12  # Contrast that a plate needs to be readable, of 255.


class Scene:
    """A picture with what is to be found in it: (x, y, width, height, text, province)."""

    def __init__(self, image, plates_in_it):
        self.image = image
        self.plates = plates_in_it


class Maker:
    """Makes scenes; thread-compatible. Equal seeds and numbers give equal scenes."""

    def __init__(self, seed, size=(1280, 720), looks=None, plain=.1):
        self.seed, self.size, self.plain = seed, size, plain
        self.looks = looks or LOOKS
        self.bank = street.Bank()
        self.painter = plates.Painter(channels=3)
        self.laws = grammars.load_all()

    def scene(self, number):
        rng = np.random.default_rng((self.seed, 7, number))
        look = list(self.looks)[int(rng.choice(len(self.looks), p=shares(self.looks.values())))]
        light = views.Light(rng)
        scale = self.size[0] / 1280
        focal = rng.uniform(1150, 1700) * scale * (1.25 if look == "us" else 1)
        height = rng.uniform(1.3, 3.4)
        pitch = rng.uniform(.05, .12) + .045 * (height - 1.3)
        view = views.View(self.size, focal, height, pitch, rng.normal(0, .10))
        road = street.Street(view, light, self.bank, self.painter, rng, thai=look == "th")
        picture = road.draw()
        wanted = 0 if rng.random() < self.plain else int(rng.integers(1, MOST_PLATES + 1))
        cars = self.traffic(road, look, wanted, rng)
        found = self.put(picture, road, cars, rng)
        image = weather.photograph(picture, road, rng)
        return Scene(image, [plate for plate in found if visible(plate, image)])

    def traffic(self, road, look, wanted, rng):
        """Vehicles with their plates, the far ones first; no one hides the plate of another."""
        cars = []
        for number in range(wanted + int(rng.integers(0, 3))):
            for _ in range(TRIES):
                car = self.car(road, look, number < wanted, rng)
                if car is not None and all(apart(car, other) for other in cars):
                    cars.append(car)
                    break
        return sorted(cars, key=lambda car: -car.vehicle.pose.z)

    def car(self, road, look, with_plate, rng):
        view = road.view
        kind = vehicles.choose(rng)
        law = self.laws[look]
        form = law.choose(rng)
        shape = "stacked" if grammars.LINE in form.text else look
        pixels = rng.uniform(*PLATE_PIXELS[shape]) * self.size[0] / 1280
        if with_plate:
            z = view.focal * vehicles.PLATE_SIZES[shape][0] / pixels
        else:
            z = rng.uniform(16, 60)
        x = float(np.tan(np.arctan(rng.uniform(-.44, .44) * view.size[0] / view.focal) + view.yaw) * z)
        if not road.left + .6 < x < road.right - .6:
            return None
        away = (x > (road.left + road.right) / 2) != (rng.random() < .25)
        heading = (0 if away else np.pi) + rng.normal(0, .16)
        car = Car(vehicles.Vehicle(kind, bodies.Pose(x, z, heading), rng, road.words))
        half_length = -car.vehicle.body.level(.5)[0]
        car.vehicle.pose.z += half_length * .9
        if not with_plate:
            return car if car.inside(view, .3) else None
        text = form.generate(rng)
        car.plate = self.painter.plate(law, form, text, rng)
        car.corners = car.vehicle.plate_corners(shape)
        flat, _ = view.project(car.vehicle.pose.place(car.corners))
        car.box = np.concatenate([flat.min(axis=0), flat.max(axis=0)])
        margin = 6
        inside = (car.box[:2] > margin).all() and (car.box[2:] < np.array(self.size) - margin).all()
        return car if inside and car.outline(view) else None

    def put(self, picture, road, cars, rng):
        found = []
        for car in cars:
            shadow(picture, road, car.vehicle)
            painted = None
            if car.plate is not None:
                image = car.plate.image.astype(np.float32) / 255
                painted = (image * image * .8, car.corners)
                x0, y0, x1, y1 = np.round(car.box).astype(int)
                text = grammars.reading_of(grammars.LINE.join(line.text for line in car.plate.lines))
                found.append((x0, y0, x1 - x0, y1 - y0, text, car.plate.province))
            drawn, cover, low = car.vehicle.draw(road.view, road.light, road.skyline, painted)
            distance = car.vehicle.pose.z
            fog = 1 - np.exp(-distance * road.light.haze * .7)
            drawn += (road.light.horizon.astype(np.float32) * cover[:, :, None] - drawn) * fog
            whole = np.maximum(cover, 1e-3)[:, :, None]
            street.blend(picture, drawn / whole, cover, (int(low[0]), int(low[1])))
            if road.light.night:
                lamps(picture, road, car.vehicle)
        return found


class Car:
    """A vehicle with its plate and its place in the picture."""

    def __init__(self, vehicle):
        self.vehicle = vehicle
        self.plate = self.corners = self.box = None
        self.hull = None

    def outline(self, view):
        flat, depth = view.project(self.vehicle.pose.place(self.vehicle.body.points.reshape(-1, 3)))
        self.hull = np.concatenate([flat.min(axis=0), flat.max(axis=0)])
        return depth.min() > 1.0

    def inside(self, view, share):
        if not self.outline(view):
            return False
        wide = min(self.hull[2], view.size[0]) - max(self.hull[0], 0)
        return wide > share * (self.hull[2] - self.hull[0])


def apart(a, b):
    """Neither hides a plate of the other, nor do they stand in one place."""
    near, far = sorted((a, b), key=lambda car: car.vehicle.pose.z)
    if abs(a.vehicle.pose.x - b.vehicle.pose.x) < 2.2 and abs(a.vehicle.pose.z - b.vehicle.pose.z) < 7:
        return False
    return far.box is None or not overlap(near.hull, far.box)


def overlap(a, b):
    return bool((np.maximum(a[:2], b[:2]) < np.minimum(a[2:], b[2:])).all())


def shadow(picture, road, vehicle):
    """What the vehicle keeps from the ground: a soft dark place below it, and the shadow of the sun."""
    view, light = road.view, road.light
    mask = np.zeros(picture.shape[:2], np.float32)
    ground = vehicle.pose.place(vehicle.ground() * (1.02, 1, 1.01))
    flat, depth = view.project(ground)
    if depth.min() < .6:
        return
    hull = np.round(flat * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, hull, .82, cv2.LINE_8, 4)
    soft = max(3, int(.14 * view.focal / vehicle.pose.z)) | 1
    if light.kind in ("clear", "low"):
        points = vehicle.pose.place(vehicle.body.points[::3, ::3].reshape(-1, 3))
        fallen = points - light.sun * (points[:, 1:2] / light.sun[1])
        flat, depth = view.project(fallen)
        if depth.min() > .6:
            cast = np.zeros_like(mask)
            far = cv2.convexHull(flat.astype(np.float32))
            cv2.fillConvexPoly(cast, np.round(far * 16).astype(np.int32), .6, cv2.LINE_8, 4)
            mask = np.maximum(mask, cast)
    x, y, wide, tall = cv2.boundingRect((mask > 0).astype(np.uint8))
    y0, y1 = max(0, y - soft), min(len(mask), y + tall + soft)
    x0, x1 = max(0, x - soft), min(mask.shape[1], x + wide + soft)
    part = cv2.blur(cv2.blur(mask[y0:y1, x0:x1], (soft, soft)), (soft, soft))
    picture[y0:y1, x0:x1] *= (1 - part)[:, :, None]


def lamps(picture, road, vehicle):
    """Light of head and tail lamps at night."""
    front = vehicle.front
    y = vehicle.shape["lamps"][1 if front else 0]
    _, _, half = vehicle.body.level(y)
    u = np.array([-half * .78, half * .78])
    points = vehicle.pose.place(vehicle.body.end(u, np.full(2, y), front))
    flat, depth = road.view.project(points)
    colour = np.array((1.0, 1.1, 1.2)) if front else np.array((.02, .02, .5))
    for centre, away in zip(flat, depth):
        street.glow(picture, centre, .42 * road.view.focal / max(away, 1), colour * (.7 if front else .35))


def visible(plate, image):
    """Whether enough light and contrast is left on a plate to say that it can be read."""
    x, y, width, height = plate[:4]
    part = cv2.cvtColor(image[y:y + height, x:x + width], cv2.COLOR_BGR2GRAY)
    return part.std() > QUIETEST


def shares(weights):
    weights = np.array(list(weights), float)
    return weights / weights.sum()


def write(scene, folder, name):
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    if not cv2.imwrite(str(folder / f"{name}.jpg"), scene.image, quality):
        raise OSError(f"{folder}: cannot be written")
    lines = ["\t".join(str(field) for field in (f"{name}.jpg", *plate) if field is not None) + "\n"
             for plate in scene.plates]
    (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--looks", default=",".join(LOOKS))
    parser.add_argument("--plain", type=float, default=.1, help="share of scenes without plates")
    options = parser.parse_args()
    size = tuple(int(side) for side in options.size.split("x"))
    cv2.setNumThreads(1)
    maker = Maker(options.seed, size, {look: LOOKS.get(look, 1.0) for look in options.looks.split(",")},
                  options.plain)
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    number_of_plates = 0
    for number in range(options.count):
        scene = maker.scene(number)
        write(scene, options.out, f"scene_{number:04d}")
        number_of_plates += len(scene.plates)
    took = (time.perf_counter() - started) / max(1, options.count)
    print(f"{options.count} scenes with {number_of_plates} plates in {options.out}, {took * 1000:.0f} ms each")


if __name__ == "__main__":
    sys.exit(main())
