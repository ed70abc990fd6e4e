#!/usr/bin/env python3
"""Answers that are as the document says, and each way in which one is not."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from documented_answers import Likeness, read_answer, read_examples  # noqa: E402

A, B, C = (f"018d0cab-c078-8aee-9f60-0f2c8d6a3b{n}" for n in (11, 12, 13))


class LikenessTest(unittest.TestCase):
    def setUp(self):
        self.likeness = Likeness({"p50", "quality"})

    def differences(self, told, real):
        return self.likeness.differences(read_answer(told), read_answer(real))

    def assert_like(self, told, real):
        self.assertEqual(self.differences(told, real), [])

    def assert_unlike(self, told, real, where):
        lines = self.differences(told, real)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(where, lines[0])

    def test_values(self):
        self.assert_like('{"a":[1,true,null,"x"]}', '{"a":[1,true,null,"x"]}')
        self.assert_unlike('{"a":[1,true]}', '{"a":[1,false]}', "/a/1: told True, is False")
        self.assert_unlike('{"a":1}', '{"a":"1"}', "/a: ")
        self.assert_unlike('{"a":1}', '{"a":true}', "/a: ")

    def test_members(self):
        self.assert_unlike('{"a":1,"b":2}', '{"a":1}', "/b: is not there")
        self.assert_unlike('{"a":1}', '{"a":1,"b":2}', "/b: is not told")
        self.assert_like('{"a":1,...}', '{"a":1,"b":2}')
        self.assert_like('{"a":{...}}', '{"a":{"b":2}}')

    def test_arrays(self):
        self.assert_unlike("[1,2]", "[1]", "2 told, 1 there")
        self.assert_like("[1,...]", "[1,2,3]")
        self.assert_unlike("[1,2,...]", "[1]", "2 told, 1 there")

    def test_what_is_measured_has_a_kind(self):
        self.assert_like('{"p50":1.5,"quality":"good"}', '{"p50":0,"quality":"poor"}')
        self.assert_unlike('{"p50":1.5}', '{"p50":null}', "/p50: ")

    def test_times_to_the_hour(self):
        self.assert_like('"2024-01-15T10:30:00.000Z"', '"2024-01-15T10:31:07.123Z"')
        self.assert_unlike('"2024-01-15T10:30:00.000Z"', '"2024-01-15T11:30:00.000Z"', "told")

    def test_addresses_and_texts(self):
        self.assert_like('"127.0.0.1:50000"', '"127.0.0.1:1"')
        self.assert_like('"a...z"', '"abcz"')
        self.assert_unlike('"a...z"', '"abc"', "told")

    def test_an_id_stands_for_the_same_everywhere(self):
        self.assert_like(f'"{A}"', f'"{B}"')
        self.assert_like(f'"/images/{A}.jpg"', f'"/images/{B}.jpg"')
        self.assert_unlike(f'"{A}"', f'"{C}"', "told")
        self.assertEqual(self.likeness.translate(f"curl $S/{A}"), f"curl $S/{B}")

    def test_commands_end_where_their_quotes_do(self):
        self.assertEqual(read_examples('curl -d \'{"a":\n 1}\'\n{"b":\n 2}\ncurl x\n'),
                         [('curl -d \'{"a":\n 1}\'', {"b": 2}), ("curl x", None)])


if __name__ == "__main__":
    unittest.main()
