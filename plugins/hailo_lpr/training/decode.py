"""From the scores of the reader to readings: the best reading, the likeliest few, and the choice
among them by a grammar. A grammar chooses; it never makes a reading.
"""
import numpy as np

import alphabet

BEAM = 16  # Readings followed at once.
LEAST = 1e-3  # Probability below which a class is not followed.
FOLLOWED = 6  # Classes followed at a place.
CHOICES = 8  # Readings given.
LEAST_SHARE = 1e-3  # Of the likeliest reading: less likely ones are not chosen for their grammar.


def probabilities(scores, temperature=1.0):
    """Scores (79, 1, 40) or (79, 40) as probabilities (40, 79)."""
    table = np.asarray(scores, np.float64).reshape(alphabet.CLASSES, -1).T / temperature
    table = np.exp(table - table.max(axis=1, keepdims=True))
    return table / table.sum(axis=1, keepdims=True)


def greedy(table):
    return alphabet.decode(table.argmax(axis=1))


def beam(table, law=None):
    """The likeliest readings with their probabilities: CTC prefix search. With a grammar only such
    as can stand in it are followed.
    """
    beams = {(): (1.0, 0.0)}  # Prefix: probability that it ends in a blank, and that it does not.
    for row in table:
        after = {}
        follow = [index for index in np.argsort(-row)[:FOLLOWED] if row[index] > LEAST]
        for prefix, (blank, other) in beams.items():
            extend(after, prefix, blank, other, row, allowed(prefix, follow, law))
        kept = sorted(after.items(), key=lambda item: -sum(item[1]))[:BEAM]
        beams = dict(kept)
    found = [(text_of(prefix), sum(both)) for prefix, both in beams.items()]
    return sorted(found, key=lambda item: -item[1])[:CHOICES]


def allowed(prefix, follow, law):
    """The classes with which a prefix may go on."""
    if law is None:
        return follow
    text = text_of(prefix)
    return [index for index in follow if index == alphabet.BLANK or prefix and index == prefix[-1]
            or law.begins(text + alphabet.CHARACTERS[index - 1])]


def text_of(prefix):
    return "".join(alphabet.CHARACTERS[index - 1] for index in prefix)


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


def mean_of(tables, law=None):
    """As beam, of several looks at one plate: a reading that a look has not got counts as 0 there.
    """
    found = {}
    for table in tables:
        for text, probability in beam(table, law):
            found[text] = found.get(text, 0.0) + probability / len(tables)
    return sorted(found.items(), key=lambda item: -item[1])[:CHOICES]


def choose(tables, law):
    """Of all looks at one plate, the likeliest reading that the grammar has, if it is likely at
    all, else the likeliest.
    """
    best = mean_of(tables)[0]
    scored = [(probability * weight, text, probability) for text, probability in mean_of(tables, law)
              if probability > best[1] * LEAST_SHARE and (weight := law.weight_of(text)) > 0]
    if not scored or not best[0]:
        return best
    _, text, probability = max(scored)
    return text, probability
