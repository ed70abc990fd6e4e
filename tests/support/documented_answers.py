"""Commands of a document with the JSON that they answer, and whether a real answer is like that one.

A document's answer may leave out members (`...`) and parts of a text. Ids, times, addresses and
digests are others in each run: there their form is compared, and an id of the document stands for the
same id everywhere. Python's standard library only.
"""

import json
import re
import shlex

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A time is compared to the hour.
VARYING = ((ID, "<id>"), (r"(\d{4}-\d\d-\d\dT\d\d):\d\d:\d\d(?:\.\d{3})?Z", r"<\1>"),
           (r"127\.0\.0\.1:\d+", "<address>"), (r"\b[0-9a-f]{64}\b", "<digest>"))
LEFT_OUT = "..."


def read_examples(text):
    """[(command, answer or None)] of a block; a command ends where its quotes do."""
    examples, lines = [], text.splitlines()
    while lines:
        command = [lines.pop(0)]
        while not _is_whole("\n".join(command)):
            command.append(lines.pop(0))
        answer = []
        while lines and lines[0].startswith(("{", " ", "[")):
            answer.append(lines.pop(0))
        examples.append(("\n".join(command), read_answer("\n".join(answer)) if answer else None))
    return examples


def _is_whole(command):
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def read_answer(text):
    """JSON in which `...` may stand for members of an object, or for the rest of an array."""
    text = re.sub(r"(?<=[{,])\.\.\.(?=[,}])", f'"{LEFT_OUT}":0', text)
    return json.loads(re.sub(r"(?<=,)\.\.\.(?=\])", f'"{LEFT_OUT}"', text))


class Likeness:
    """`measured`: names of members whose values are others in each run."""

    def __init__(self, measured):
        self.measured = measured
        self.ids = {}  # Of the document: those of this run.

    def translate(self, command):
        return re.sub(ID, lambda match: self.ids.get(match[0], match[0]), command)

    def differences(self, told, real, at=""):
        """What of `real` is not as `told`, a line each."""
        if at.rpartition("/")[2] in self.measured and _kind(told) == _kind(real):
            return []
        if isinstance(told, dict) and isinstance(real, dict):
            return self._members(told, real, at)
        if isinstance(told, list) and isinstance(real, list):
            if told[-1:] == [LEFT_OUT]:
                told, real = told[:-1], real[:len(told) - 1]
            if len(told) != len(real):
                return [f"{at}: {len(told)} told, {len(real)} there"]
            return [line for i, (one, other) in enumerate(zip(told, real))
                    for line in self.differences(one, other, f"{at}/{i}")]
        if isinstance(told, str) and isinstance(real, str):
            return [] if self._same_text(told, real) else [f"{at}: told {told!r}, is {real!r}"]
        return [] if type(told) is type(real) and told == real else [f"{at}: told {told!r}, is {real!r}"]

    def _members(self, told, real, at):
        names = {name for name in told if name != LEFT_OUT}
        lines = [f"{at}/{name}: is not there" for name in sorted(names - set(real))]
        if LEFT_OUT not in told:
            lines += [f"{at}/{name}: is not told" for name in sorted(set(real) - names)]
        for name in sorted(names & set(real)):
            lines += self.differences(told[name], real[name], f"{at}/{name}")
        return lines

    def _same_text(self, told, real):
        plain_told, plain_real = told, real
        for pattern, name in VARYING:
            plain_told, plain_real = (re.sub(pattern, name, text) for text in (plain_told, plain_real))
        parts = [re.escape(part) for part in plain_told.split(LEFT_OUT)]
        if not re.fullmatch(".*".join(parts), plain_real, re.DOTALL):
            return False
        # The ids stand in both in the same order.
        for one, other in zip(re.findall(ID, told), re.findall(ID, real)):
            if self.ids.setdefault(one, other) != other:
                return False
        return True


def _kind(value):
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
