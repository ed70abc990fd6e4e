#!/usr/bin/env python3
"""The generator of samples and the decoding: equal seeds give equal samples, a label says what was
drawn, and a grammar chooses among readings without making one.
"""
import sys
import unittest

import numpy as np

import alphabet
import camera
import decode
import faces
import grammar
import plates
import samples


class Recorder(plates.Painter):
    """A painter that remembers which characters it drew."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def piece(self, character, faces_of, style):
        self.drawn.append(character)
        return super().piece(character, faces_of, style)


class Samples(unittest.TestCase):
    def test_all_faces_are_installed(self):
        self.assertEqual(faces.missing(), [])

    def test_equal_seeds_give_equal_samples_in_any_order(self):
        first, second = samples.Source(3), samples.Source(3)
        first.readings(0, 8)
        images, texts, places = first.readings(5, 24)
        again, same, where = second.readings(5, 24)
        self.assertEqual(texts, same)
        self.assertEqual(places, where)
        self.assertTrue(np.array_equal(images, again))
        self.assertNotEqual(samples.Source(4).readings(5, 24)[1], texts)

    def test_equal_seeds_give_equal_provinces(self):
        images, classes = samples.Source(3).provinces(2, 16)
        again, same = samples.Source(3).provinces(2, 16)
        self.assertEqual(classes, same)
        self.assertTrue(np.array_equal(images, again))

    def test_sizes_and_labels_are_those_of_the_nets(self):
        images, texts, places = samples.Source(1).readings(0, 64)
        self.assertEqual(images.shape, (64, 48, 160))
        self.assertEqual(images.dtype, np.uint8)
        for text, where in zip(texts, places):
            self.assertTrue(set(text) <= set(alphabet.CHARACTERS), text)
            self.assertEqual(len(where), len(text))
            self.assertEqual(where, sorted(where))
        images, classes = samples.Source(1).provinces(0, 32)
        self.assertEqual(images.shape, (32, 32, 160))
        self.assertTrue(all(0 <= index < alphabet.PROVINCE_CLASSES for index in classes))

    def test_some_crops_have_nothing_to_read(self):
        _, texts, _ = samples.Source(1).readings(0, 400)
        share = sum(not text for text in texts) / len(texts)
        self.assertGreater(share, samples.NEGATIVES / 3)
        self.assertLess(share, samples.NEGATIVES * 3)


class Plates(unittest.TestCase):
    def test_a_label_says_what_was_drawn(self):
        painter, rng = Recorder(), np.random.default_rng(2)
        for law in grammar.load_all().values():
            for form in law.forms:
                painter.drawn = []
                text = form.generate(rng)
                plate = painter.plate(law, form, text, rng)
                drawn = "".join(painter.drawn)  # With the gaps, and those of emblems around.
                self.assertEqual(drawn.strip(), text.replace(grammar.LINE, ""))
                self.assertEqual(grammar.LINE.join(line.text for line in plate.lines), text)

    def test_the_ink_of_a_line_is_in_its_box(self):
        painter, rng = plates.Painter(), np.random.default_rng(3)
        law = grammar.load("uk")
        for _ in range(20):
            plate = painter.plate(law, law.forms[0], "MH 12 NMH", rng)
            x0, y0, x1, y1 = (int(value) for value in plate.lines[0].box)
            inside = plate.image[y0 + 2:y1 - 2, x0:x1]
            self.assertGreater(inside.std(), 30)
            for column in (inside[:, :16], inside[:, -16:]):  # M and H begin and end there.
                self.assertLess(column.min(), 110)

    def test_the_province_is_the_one_asked_for(self):
        painter, rng = plates.Painter(), np.random.default_rng(4)
        law = grammar.load("th")
        plate = painter.plate(law, law.forms[0], "1กข 23", rng, "ภูเก็ต")
        self.assertEqual(plate.province, "ภูเก็ต")
        self.assertGreater(plate.province_box[1], plate.lines[0].box[3])


class Camera(unittest.TestCase):
    def test_a_tiny_and_a_large_crop_keep_the_size_of_the_net(self):
        lens, rng = camera.Camera(), np.random.default_rng(1)
        image = np.full((60, 200), 128, np.uint8)
        for rows in (1.5, 200.0):
            shot, _ = lens.shoot(image, (-20, -10, 220, 70), samples.READER_SIZE, rng, rows)
            self.assertEqual(shot.shape, (48, 160))

    def test_the_matrix_says_where_a_point_of_the_plate_went(self):
        lens, rng = camera.Camera(ease=1.0), np.random.default_rng(2)
        for x in (40, 100, 160):
            image = np.full((60, 200), 30, np.uint8)
            image[:, x - 4:x + 4] = 250
            shot, matrix = lens.shoot(image, (0, 0, 200, 60), samples.READER_SIZE, rng, 40.0)
            (place,) = samples.across([(x, 30)], matrix)
            column = shot[20:28].mean(axis=0).argmax()
            self.assertLess(abs(place * samples.READER_SIZE[0] - column), 6)


class Decoding(unittest.TestCase):
    def table(self, text, doubt=None):
        """Probabilities that say text; doubt (place, character, share) gives one place a second."""
        table = np.full((40, alphabet.CLASSES), 1e-6)
        table[:, alphabet.BLANK] = 1.0
        for place, index in enumerate(alphabet.encode(text)):
            table[2 + place * 3, alphabet.BLANK] = 1e-6
            table[2 + place * 3, index] = 1.0
        if doubt:
            place, other, share = doubt
            row = table[2 + place * 3]
            row *= 1 - share
            row[alphabet.CLASS_OF[other]] = share
        return table / table.sum(axis=1, keepdims=True)

    def test_greedy_and_beam_agree_where_there_is_no_doubt(self):
        table = self.table("1กก1123")
        self.assertEqual(decode.greedy(table), "1กก1123")
        reading, confidence = decode.beam(table)[0]
        self.assertEqual(reading, "1กก1123")
        self.assertGreater(confidence, 0.99)

    def test_a_grammar_chooses_the_second_reading(self):
        table = self.table("ABC0I34", (4, "1", 0.3))
        self.assertEqual(decode.beam(table)[0][0], "ABC0I34")
        text, confidence = decode.choose([table], grammar.load("br"))
        self.assertEqual(text, "ABC0134")
        self.assertAlmostEqual(confidence, 0.3, places=2)

    def test_a_grammar_makes_no_reading(self):
        for text in ("A0C1234", ""):
            self.assertEqual(decode.choose([self.table(text)], grammar.load("br"))[0], text)

    def test_a_grammar_chooses_nothing_unlikely(self):
        table = self.table("ABC0I34", (4, "1", 0.0005))
        self.assertEqual(decode.choose([table], grammar.load("br"))[0], "ABC0I34")

    def test_a_grammar_finds_what_many_doubts_hide(self):
        table = self.table("0BI0I00")
        for place, other in enumerate("OB101OO"):
            row = table[2 + place * 3]
            row[alphabet.CLASS_OF[other]] = max(row[alphabet.CLASS_OF[other]], row.max() * 0.8)
        table /= table.sum(axis=1, keepdims=True)
        self.assertEqual(decode.choose([table], grammar.load("br"))[0], "OBI0100")

    def test_nothing_reads_as_nothing(self):
        self.assertEqual(decode.beam(self.table(""))[0][0], "")


if __name__ == "__main__":
    sys.exit(unittest.main())
