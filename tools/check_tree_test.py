#!/usr/bin/env python3
"""Each habit that check_tree.py guards, broken once in a small tree."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from check_tree import Checker, MAX_LINES  # noqa: E402


class CheckTreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def findings(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Checker(self.root).run()

    def assert_found(self, name, text, expected):
        findings = self.findings(name, text)
        self.assertEqual(len(findings), 1, findings)
        self.assertIn(expected, findings[0])

    def test_unfinished_work(self):
        self.assert_found("core/a.cc", "int a;\n// TO" "DO: more\n", "core/a.cc:2: ")

    def test_skipped_test(self):
        self.assert_found("core/a_test.cc", "GTEST_" "SKIP();\n", "no test")

    def test_lock_file_that_names_a_host(self):
        self.assert_found("a/package-lock.json", '{\n  "resolved": "https://example.org"\n}\n',
                          "lock file")

    def test_name_that_says_nothing(self):
        self.assert_found("core/string_util.cc", "", "named")

    def test_long_file(self):
        self.assert_found("core/a.cc", "int a;\n" * (MAX_LINES + 1), "split")

    def test_dead_link(self):
        self.assert_found("README.md", "[a](docs/GONE.md)\n", "no such file")

    def test_dead_anchor(self):
        self.assert_found("README.md", "# One way\n[a](#one-way) [b](#two-ways)\n", "no such heading")

    def test_dead_path(self):
        self.assert_found("README.md", "see `core/gone/x.h`\n", "no such path")

    def test_clean_tree(self):
        self.assertEqual(self.findings("README.md", "# A\n[a](#a) [b](https://example.org/x)\n"
                                       "```\n[c](gone.md)\n```\n"), [])

    def test_build_folder_is_not_read(self):
        self.assertEqual(self.findings("build/a.cc", "// TO" "DO\n"), [])


if __name__ == "__main__":
    unittest.main()
