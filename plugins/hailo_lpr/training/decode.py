"""From the scores of the reader to readings: the best reading, the likeliest few, and the choice
among them by a grammar. A grammar chooses; it never makes a reading.
"""
import numpy as np

import alphabet

BEAM = 16  # Readings followed at once.
LEAST = 1e-3  # Probability below which a class is not followed.
FOLLOWED = 6  # Classes followed at a place.
CHOICES = 8  # Readings offered to a grammar.


def probabilities(scores, temperature=1.0):
    """Scores (79, 1, 40) or (79, 40) as probabilities (40, 79)."""
    table = np.asarray(scores, np.float64).reshape(alphabet.CLASSES, -1).T / temperature
    table = np.exp(table - table.max(axis=1, keepdims=True))
    return table / table.sum(axis=1, keepdims=True)


def greedy(table):
    return alphabet.decode(table.argmax(axis=1))


def beam(table):
    """The likeliest readings with their probabilities: CTC prefix search."""
    beams = {(): (1.0, 0.0)}  # Prefix: probability that it ends in a blank, and that it does not.
    for row in table:
        after = {}
        follow = [index for index in np.argsort(-row)[:FOLLOWED] if row[index] > LEAST]
        for prefix, (blank, other) in beams.items():
            extend(after, prefix, blank, other, row, follow)
        kept = sorted(after.items(), key=lambda item: -sum(item[1]))[:BEAM]
        beams = dict(kept)
    found = [("".join(alphabet.CHARACTERS[i - 1] for i in prefix), sum(both))
             for prefix, both in beams.items()]
    return sorted(found, key=lambda item: -item[1])[:CHOICES]


def extend(after, prefix, blank, other, row, follow):
    for index in follow:
        share = row[index]
        if index == alphabet.BLANK:
            add(after, prefix, (blank + other) * share, 0.0)
        elif prefix and index == prefix[-1]:
            add(after, prefix, 0.0, other * share)
            add(after, prefix + (index,), 0.0, blank * share)
        else:
            add(after, prefix + (index,), 0.0, (blank + other) * share)


def add(after, prefix, blank, other):
    before = after.get(prefix, (0.0, 0.0))
    after[prefix] = (before[0] + blank, before[1] + other)


def choose(readings, grammar):
    """The likeliest reading that the grammar has, else the likeliest."""
    scored = [(probability * weight, text, probability) for text, probability in readings
              if (weight := grammar.weight_of(text)) > 0]
    if scored:
        _, text, probability = max(scored)
        return text, probability
    return readings[0]
