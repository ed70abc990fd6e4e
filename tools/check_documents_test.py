#!/usr/bin/env python3
"""Each promise that check_documents.py keeps, broken once in a small tree."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from check_documents import Checker  # noqa: E402

SOUND = {
    "docs/A.md": "# A\n## First\n```sh\ntrue\n```\n\n## Second\n```yaml\na: 1\n```\n```text\nsaid\n```\n",
    "tests/a_test.py": 'read_document("docs/A.md")\n',
    "tests/CMakeLists.txt": "foreach(script a_test)\n",
    "tools/document_blocks.txt": "# What is run.\ndocs/A.md#First | sh | run | tests/a_test.py\n"
                                 "docs/*.md | yaml | shown | - | a drawing\n",
}


class CheckDocumentsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name, text in SOUND.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name, old, new):
        self.assertIn(old, SOUND[name])
        self.write(name, SOUND[name].replace(old, new))

    def assert_found(self, *expected):
        findings = Checker(self.root).run()
        self.assertEqual(len(findings), len(expected), findings)
        for words, finding in zip(expected, findings):
            self.assertIn(words, finding)

    def test_sound(self):
        self.assert_found()

    def test_a_block_that_nobody_runs(self):
        self.write("docs/B.md", "# B\n```sh\nfalse\n```\n")
        self.assert_found("docs/B.md:2: no test runs this block ('B')")

    def test_a_block_below_another_heading(self):
        self.change("docs/A.md", "## Second\n", "## Second\n```sh\nfalse\n```\n")
        self.assert_found("docs/A.md:8: no test runs")

    def test_a_claim_without_its_block(self):
        self.change("docs/A.md", "```sh\ntrue\n```\n", "")
        self.assert_found("has no such block")

    def test_a_block_that_is_claimed_twice(self):
        self.write("tools/document_blocks.txt", SOUND["tools/document_blocks.txt"] +
                   "docs/A.md | sh | run | tests/a_test.py\n")
        self.assert_found("twice in")

    def test_a_test_that_is_not_there(self):
        (self.root / "tests/a_test.py").unlink()
        self.assert_found("there is no tests/a_test.py")

    def test_a_test_that_ctest_does_not_know(self):
        self.write("tests/CMakeLists.txt", "\n")
        self.assert_found("no test of any CMakeLists.txt")

    def test_a_test_that_does_not_read_the_document(self):
        self.write("tests/a_test.py", "pass\n")
        self.assert_found("does not read docs/A.md")

    def test_a_block_that_is_shown_without_a_reason(self):
        self.change("tools/document_blocks.txt", " | a drawing", "")
        self.assert_found("why is it not run?")

    def test_another_way(self):
        self.change("tools/document_blocks.txt", "| run |", "| perhaps |")
        self.assert_found("'perhaps' is none of", "why is it not run?")

    def test_a_fence_without_a_language(self):
        self.change("docs/A.md", "```text", "```")
        self.assert_found("a block of ''")

    def test_a_fence_that_does_not_end(self):
        self.write("docs/B.md", "```text\nsaid\n")
        self.assert_found("does not end")

    def test_an_indented_block(self):
        self.write("docs/B.md", "# B\n\n    false\n\n- a list\n\n    - in a list\n")
        self.assert_found("docs/B.md:3: an indented block")

    def test_json_that_is_none(self):
        self.write("docs/B.md", '```json\n{"a": 1}\n{"b": 2}\n```\n\n```json\n{"a": ...}\n```\n')
        self.assert_found("docs/B.md:6: no JSON")


if __name__ == "__main__":
    unittest.main()
