#!/usr/bin/env python3
"""The grammars: every file loads, generates what it matches, and refuses what it should."""
import sys
import unittest

import numpy as np

import alphabet
import grammar

DRAWN = 300  # Texts drawn of each form.
KNOWN = {  # Readings of real forms, and near ones that are none.
    "th": (["1กก1234", "กข1", "701234"], ["กก12345", "0กก1234", "AB1234"]),
    "br": (["ABC1234", "ABC1D23"], ["AB1234", "ABC12D3", "ABC123"]),
    "uk": (["AB12CDE", "A1BCD"], ["AB123CD", "1234567"]),
    "eu": (["RK755AJ", "4B79123"], ["RK7-55AJ", "RK755AJ12"]),
    "us": (["6MMD595", "YG9X2G"], ["6MMD5951X", ""]),
    "in": (["MH12AB1234"], ["MH12AB123"]),
}


class Grammars(unittest.TestCase):
    def setUp(self):
        self.grammars = grammar.load_all()

    def test_every_file_is_named_for_its_grammar(self):
        self.assertEqual(sorted(KNOWN), sorted(self.grammars))
        for name, law in self.grammars.items():
            self.assertEqual(name, law.name)

    def test_forms_generate_what_they_match(self):
        rng = np.random.default_rng(1)
        for law in self.grammars.values():
            for form in law.forms:
                for _ in range(DRAWN):
                    reading = grammar.reading_of(form.generate(rng))
                    self.assertTrue(form.matches(reading), f"{law.name} {form.text}: {reading}")
                    self.assertTrue(set(reading) <= set(alphabet.CHARACTERS))
                    self.assertLessEqual(len(reading), grammar.MAX_REPEAT)

    def test_known_readings(self):
        for name, (right, wrong) in KNOWN.items():
            for reading in right:
                self.assertGreater(self.grammars[name].weight_of(reading), 0, f"{name} {reading}")
            for reading in wrong:
                self.assertEqual(self.grammars[name].weight_of(reading), 0, f"{name} {reading}")

    def test_the_share_of_several_forms_is_their_sum(self):
        self.assertAlmostEqual(sum(self.grammars["br"].shares), 1.0)
        self.assertAlmostEqual(self.grammars["br"].weight_of("ABC1234"), 0.7)

    def test_every_beginning_of_a_reading_can_begin(self):
        rng = np.random.default_rng(2)
        for law in self.grammars.values():
            for _ in range(DRAWN):
                reading = grammar.reading_of(law.choose(rng).generate(rng))
                for end in range(len(reading) + 1):
                    self.assertTrue(law.begins(reading[:end]), f"{law.name} {reading[:end]}")
        self.assertFalse(self.grammars["br"].begins("A0"))
        self.assertFalse(self.grammars["br"].begins("ABC12345"))

    def test_equal_seeds_draw_equal_texts(self):
        def draw(seed):
            rng = np.random.default_rng(seed)
            law = self.grammars["us"]
            return [law.choose(rng).generate(rng) for _ in range(50)]
        self.assertEqual(draw(5), draw(5))
        self.assertNotEqual(draw(5), draw(6))

    def test_bad_forms_are_refused(self):
        for text in ("L{13}", "L{3,2}", "L{0}", "Q", "L-D", "[]", "[é]", "L{", "{3}"):
            with self.assertRaises(ValueError, msg=text):
                grammar.parse(text)


class Alphabet(unittest.TestCase):
    def test_codes_are_unique_and_come_back(self):
        self.assertEqual(len(set(alphabet.CHARACTERS)), len(alphabet.CHARACTERS))
        text = alphabet.CHARACTERS
        self.assertEqual(alphabet.decode(alphabet.encode(text)), text)

    def test_repeats_need_a_blank_between(self):
        one, two = alphabet.encode("A1")
        self.assertEqual(alphabet.decode([one, one, 0, one, two, two, 0]), "AA1")

    def test_provinces_are_78_different_names(self):
        self.assertEqual(len(set(alphabet.PROVINCES)), 78)
        self.assertEqual(alphabet.PROVINCE_CLASSES, 79)


if __name__ == "__main__":
    sys.exit(unittest.main())
