#!/usr/bin/env python3
"""Street scenes: equal seeds give equal scenes, plates stand where the ground truth says, and what is
written can be read back.
"""
import pathlib
import sys
import tempfile
import unittest

import cv2
import numpy as np

import alphabet
import scenes
import street
import view as views

SIZE = (640, 360)
COUNT = 6


class Scenes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cv2.setNumThreads(1)
        cls.maker = scenes.Maker(3, SIZE)
        cls.scenes = [cls.maker.scene(number) for number in range(COUNT)]

    def test_a_scene_follows_from_its_seed_and_number_alone(self):
        again = scenes.Maker(3, SIZE).scene(COUNT - 1)
        self.assertTrue(np.array_equal(again.image, self.scenes[-1].image))
        self.assertEqual(again.plates, self.scenes[-1].plates)
        other = scenes.Maker(4, SIZE).scene(COUNT - 1)
        self.assertFalse(np.array_equal(other.image, self.scenes[-1].image))

    def test_a_scene_has_the_size_asked_for_and_plates_within(self):
        self.assertGreater(sum(len(scene.plates) for scene in self.scenes), COUNT / 2)
        for scene in self.scenes:
            self.assertEqual(scene.image.shape, (SIZE[1], SIZE[0], 3))
            self.assertLessEqual(len(scene.plates), scenes.MOST_PLATES)
            for x, y, width, height, text, province in scene.plates:
                self.assertTrue(0 <= x and 0 <= y and x + width <= SIZE[0] and y + height <= SIZE[1])
                self.assertTrue(text and set(text) <= set(alphabet.CHARACTERS), text)
                thai = any(letter in alphabet.THAI for letter in text)
                self.assertTrue(province in alphabet.PROVINCES if thai else True)

    def test_the_plate_is_where_the_ground_truth_says(self):
        """The same scene with a plate wiped differs inside the boxes and, but for bloom and noise, nowhere else."""
        maker = scenes.Maker(3, SIZE)
        paint = maker.painter.plate

        def wiped(*arguments):
            plate = paint(*arguments)
            plate.image[:] = 255 - plate.image
            return plate
        maker.painter.plate = wiped
        seen = 0
        for number, scene in enumerate(self.scenes):
            change = np.abs(maker.scene(number).image.astype(int) - scene.image).max(axis=2)
            for x, y, width, height, *_ in scene.plates:
                inside = change[y:y + height, x:x + width].mean()
                seen += inside > 4 * max(1, np.median(change))
        self.assertEqual(seen, sum(len(scene.plates) for scene in self.scenes))

    def test_a_camera_may_see_nothing_but_a_wet_road(self):
        rng = np.random.default_rng(1)
        view = views.View(SIZE, 700, 3, .8, 0)
        road = street.Street(view, views.Light(rng), self.maker.bank, self.maker.painter, rng)
        road.wet = True
        self.assertTrue(np.isfinite(road.draw()).all())

    def test_scenes_without_plates_are_made_on_demand(self):
        maker = scenes.Maker(5, SIZE, plain=1.0)
        self.assertEqual([maker.scene(number).plates for number in range(3)], [[], [], []])

    def test_what_is_written_can_be_read_back(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            scene = next(scene for scene in self.scenes if scene.plates)
            scenes.write(scene, folder, "one")
            self.assertEqual(cv2.imread(str(folder / "one.jpg")).shape, scene.image.shape)
            lines = (folder / "one.txt").read_text(encoding="utf-8").splitlines()
            for line, plate in zip(lines, scene.plates):
                fields = line.split("\t")
                self.assertEqual(fields[0], "one.jpg")
                self.assertEqual(tuple(int(field) for field in fields[1:5]), tuple(plate[:4]))
                self.assertEqual(fields[5:], [field for field in plate[4:] if field is not None])
            scenes.write(scenes.Scene(scene.image, []), folder, "none")
            self.assertEqual((folder / "none.txt").read_bytes(), b"")


if __name__ == "__main__":
    sys.exit(unittest.main())
