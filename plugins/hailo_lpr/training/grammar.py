"""Plate grammars: what the plates of a country can say. The files are ../grammars/*.yaml and their
form is described in ../grammars/README.md.
"""
import functools
import itertools
import pathlib
import re

import yaml

import alphabet

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "grammars"
SETS = {"L": alphabet.LATIN, "D": alphabet.DIGITS, "T": alphabet.THAI,
        "X": alphabet.LATIN + alphabet.DIGITS}
TOKEN = re.compile(r"(?P<set>[LDTX]|\[[^\]]+\])(?:\{(?P<low>\d+)(?:,(?P<high>\d+))?\})?"
                   r"|(?P<mark>[ /])")
MAX_REPEAT = 12  # The longest reading of any plate.
PREFIXES = 65536  # Beginnings remembered.
GAP, LINE = " ", "/"


class Part:
    """One position of a form, or several equal ones: characters and how many of them."""

    def __init__(self, characters, low, high):
        self.characters = characters
        self.low = low
        self.high = high


class Form:
    """One form of a grammar: its text, weight, look and parts; gaps and line breaks are marks."""

    def __init__(self, entry):
        self.text = entry["form"]
        self.weight = float(entry.get("weight", 1))
        self.country = entry.get("country", "")
        self.look = entry.get("look", "")
        self.parts = parse(self.text)
        self.pattern = re.compile("".join(expression(part) for part in self.parts))

    def matches(self, reading):
        return self.pattern.fullmatch(reading) is not None

    def shapes(self):
        """The sets of characters by position, once for every length that the form allows."""
        parts = [part for part in self.parts if isinstance(part, Part)]
        counts = itertools.product(*[range(part.low, part.high + 1) for part in parts])
        return [[frozenset(part.characters) for part, count in zip(parts, each) for _ in range(count)]
                for each in counts]

    def generate(self, rng):
        """Text with its gaps and line breaks; the reading is the text without them."""
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            count = part.high
            if part.low != part.high and rng.random() < 0.5:
                count = int(rng.integers(part.low, part.high + 1))
            out.extend(part.characters[i] for i in rng.integers(0, len(part.characters), count))
        return "".join(out)


class Grammar:
    """The forms of one file."""

    def __init__(self, path):
        self.path = path
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.name = document["name"]
        self.title = document["title"]
        self.decoration = document.get("decoration", [])
        self.header = document.get("header", [])
        self.footer = document.get("footer", [])
        self.forms = [Form(entry) for entry in document["forms"]]
        total = sum(form.weight for form in self.forms)
        self.shares = [form.weight / total for form in self.forms]
        self.shapes = [shape for form in self.forms for shape in form.shapes()]
        self.begins = functools.lru_cache(maxsize=PREFIXES)(self.can_begin)

    def can_begin(self, prefix):
        """Whether a reading of this grammar can begin so."""
        return any(len(prefix) <= len(shape) and all(c in s for c, s in zip(prefix, shape))
                   for shape in self.shapes)

    def choose(self, rng):
        return self.forms[int(rng.choice(len(self.forms), p=self.shares))]

    def weight_of(self, reading):
        """The share of the forms that a reading has: 0 if it is none of them."""
        return sum(share for form, share in zip(self.forms, self.shares) if form.matches(reading))


def parse(text):
    parts = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"form {text}: cannot read it from '{text[position:]}'")
        parts.append(match["mark"] or part_of(match, text))
        position = match.end()
    return parts


def part_of(match, text):
    low = int(match["low"] or 1)
    high = int(match["high"] or low)
    if not 0 <= low <= high <= MAX_REPEAT or high == 0:
        raise ValueError(f"form {text}: {{{low},{high}}} is out of 0 to {MAX_REPEAT}")
    return Part(characters_of(match["set"]), low, high)


def characters_of(name):
    if name in SETS:
        return SETS[name]
    out = []
    for first, last in re.findall(r"(.)(?:-(.))?", name[1:-1]):
        codes = range(ord(first), ord(last or first) + 1)
        out.extend(chr(code) for code in codes if chr(code) in alphabet.CLASS_OF)
    if not out:
        raise ValueError(f"set {name}: no character of the alphabet")
    return "".join(out)


def expression(part):
    if isinstance(part, str):
        return ""
    return f"[{part.characters}]{{{part.low},{part.high}}}"


def reading_of(text):
    """What is to be read of a generated text."""
    return text.replace(GAP, "").replace(LINE, "")


def load(name):
    return Grammar(FOLDER / f"{name}.yaml")


def load_all():
    return {path.stem: Grammar(path) for path in sorted(FOLDER.glob("*.yaml"))}
