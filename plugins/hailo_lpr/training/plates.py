"""Draws a plate: the text of a grammar in the look of its country, flat and clean, with the places of
its lines. Dirt, light and camera come afterwards (camera.py).
"""
import cv2
import numpy as np

import canvas
import faces
import grammar as grammars

INK = 44  # Height of a character in pixels.
BLACK, WHITE, YELLOW = (25, 22, 20), (238, 240, 240), (50, 200, 240)
BLUE, RED, GREEN, SILVER = (130, 60, 20), (40, 30, 170), (60, 110, 20), (185, 188, 190)


class Look:
    """Proportions are parts of the height of a character."""

    def __init__(self, height, aspect, kinds, papers, inks, marks=" ", band=0.0, header=None,
                 lines=1, centre=0.5):
        self.height = height  # Of the plate, at least and most.
        self.aspect = aspect  # Of the plate; 0: as wide as its text wants.
        self.kinds = kinds  # Kinds of faces with their shares.
        self.papers = papers
        self.inks = inks
        self.marks = marks  # What may stand in a gap.
        self.band = band  # How often there is a blue band.
        self.header = header
        self.lines = lines
        self.centre = centre  # Height of the middle of the line in the plate.


LATIN_KINDS = (("latin", 0.5), ("dies", 0.5))
DIES_KINDS = (("latin", 0.35), ("dies", 0.65))
THAI_KINDS = (("thai", 1.0),)
EU_LOOK = {"height": (1.3, 1.6), "aspect": 4.6, "kinds": LATIN_KINDS, "marks": "  -.o22", "band": 0.75}
LOOKS = {
    "eu": Look(papers=[WHITE, WHITE, WHITE, SILVER], inks=[BLACK, BLACK, BLACK, BLUE], **EU_LOOK),
    "eu_italy": Look(papers=[WHITE], inks=[BLACK], header="band_right", **EU_LOOK),
    "eu_yellow": Look(papers=[YELLOW], inks=[BLACK], **EU_LOOK),
    "uk": Look((1.25, 1.5), 4.6, LATIN_KINDS, [WHITE, YELLOW], [BLACK], "  ", 0.4),
    "us": Look((1.8, 2.6), 2.0, DIES_KINDS,
               [WHITE, WHITE, SILVER, YELLOW, (235, 215, 190), (200, 225, 235), BLUE, BLACK,
                (150, 90, 40)],
               [BLUE, BLACK, RED, GREEN, (90, 30, 20), WHITE, (90, 40, 90)], "  -.osss2",
               header="words"),
    "br": Look((1.75, 2.2), 3.08, DIES_KINDS, [SILVER, SILVER, (160, 165, 165), RED, WHITE],
               [BLACK, BLACK, WHITE, RED], "-. ", header="words", centre=0.6),
    "mercosul": Look((1.75, 2.1), 3.08, LATIN_KINDS, [WHITE], [BLACK, BLACK, BLUE, RED, GREEN], " ",
                     header="blue", centre=0.61),
    "br_stacked": Look((3.2, 3.8), 1.2, DIES_KINDS, [SILVER, WHITE, RED], [BLACK, WHITE], "- ",
                       header="words", lines=2, centre=0.55),
    "th": Look((2.2, 2.7), 2.27, THAI_KINDS, [WHITE, WHITE, WHITE, YELLOW, (120, 200, 120)],
               [BLACK, BLACK, BLACK, BLUE, GREEN, RED], "  -", header="province", centre=0.36),
    "th_stacked": Look((3.4, 4.0), 1.25, THAI_KINDS, [WHITE, YELLOW], [BLACK, BLUE], "  ",
                       header="province", lines=2),
    "in": Look((1.35, 1.7), 4.2, LATIN_KINDS, [WHITE, WHITE, YELLOW, BLACK],
               [BLACK, BLACK, WHITE, YELLOW], "  -.", 0.3),
    "in_stacked": Look((2.8, 3.3), 1.7, LATIN_KINDS, [WHITE, YELLOW], [BLACK], "  ", 0.1, lines=2),
}


class Line:
    """A line of a plate: what it says, where it stands in the image of the plate, and the middles of
    its characters."""

    def __init__(self, text, box, middles):
        self.text = text
        self.box = box
        self.middles = middles


class Plate:
    """A drawn plate."""

    def __init__(self, image, lines, province, province_box):
        self.image = image
        self.lines = lines
        self.province = province
        self.province_box = province_box


class Painter:
    """Draws plates; thread-compatible. Equal generators give equal plates."""

    def __init__(self, channels=1):
        self.channels = channels
        self.faces = faces.Faces()

    def plate(self, grammar, form, text, rng, province=None):
        look = LOOKS[form.look]
        height = int(INK * rng.uniform(*look.height))
        width = int(height * look.aspect * rng.uniform(0.92, 1.1))
        paper, ink = self.colours(look, rng)
        board = canvas.Canvas(width, height, paper, self.channels)
        if look.header == "words" and rng.random() < 0.6:
            self.picture(board, rng)
        self.borders(board, ink, rng)
        left, right = self.band(board, look, form, rng)
        lines = self.lines(board, look, text, (left, right), ink, rng)
        name, box = self.words(board, look, grammar, lines, ink, province, rng)
        self.bolts(board, lines, rng)
        return Plate(board.image, lines, name, box)

    def colours(self, look, rng):
        """Paper and ink that differ enough to be read."""
        while True:
            paper = np.array(look.papers[int(rng.integers(len(look.papers)))])
            ink = np.array(look.inks[int(rng.integers(len(look.inks)))])
            if abs(np.dot(paper - ink, canvas.LUMA)) > 70:
                break
        return near(paper, 14, rng), near(ink, 18, rng)

    def picture(self, board, rng):
        """A pale picture or a run of colour behind the text."""
        height, width = board.image.shape[:2]
        small = rng.normal(0, rng.uniform(4, 22), (int(rng.integers(2, 6)), int(rng.integers(2, 9))))
        board.shade(canvas.scaled(small.astype(np.float32), width, height).astype(np.int16))

    def borders(self, board, ink, rng):
        if rng.random() < 0.55:
            colour = ink if rng.random() < 0.6 else rng.integers(20, 220, 3)
            board.frame(int(rng.integers(0, 4)), int(rng.integers(1, 3)), colour)
        if rng.random() < 0.3:  # A holder round the plate.
            board.frame(0, int(rng.integers(3, 9)), rng.integers(10, 200, 3))

    def band(self, board, look, form, rng):
        """The blue bands; gives the left and right edge of the room for the text."""
        height, width = board.image.shape[:2]
        left, right = 0, width
        if rng.random() < look.band:
            left = int(height * rng.uniform(0.28, 0.42))
            self.one_band(board, 0, left, form.country or "EU", rng)
        if look.header == "band_right" and rng.random() < 0.8:
            right = width - int(height * rng.uniform(0.28, 0.38))
            self.one_band(board, right, width, "", rng)
        return left, right

    def one_band(self, board, x0, x1, country, rng):
        height = board.image.shape[0]
        pale = rng.random() < 0.2  # As blue looks in a picture taken in infrared light.
        words = BLACK if pale else WHITE
        board.box(x0, 0, x1, height, near(SILVER if pale else BLUE, 28, rng))
        for angle in np.arange(0, 6.28, 0.7):
            radius = (x1 - x0) * 0.3
            board.dot((x0 + x1) / 2 + radius * np.cos(angle), height * 0.32 + radius * np.sin(angle),
                      height * 0.02, YELLOW)
        if country:
            mask = self.line_of_words("latin", country, rng)
            size = min((x1 - x0) * 0.75 / mask.shape[1], height * 0.25 / mask.shape[0])
            mask = canvas.scaled(mask, mask.shape[1] * size, mask.shape[0] * size)
            board.ink(mask, (x0 + x1 - mask.shape[1]) / 2, height * 0.68, words)

    def line_of_words(self, kind, words, rng):
        index = int(rng.choice(len(self.faces.shares[kind]), p=self.faces.shares[kind]))
        return self.faces.text(kind, index, words)

    def lines(self, board, look, text, room, ink, rng):
        rows = text.split(grammars.LINE)
        faces_of = self.pick_faces(look, rng)
        height = board.image.shape[0]
        style = Style(look, rng)
        out = []
        for index, row in enumerate(rows):
            if len(rows) == 1:
                middle = height * (look.centre + rng.uniform(-0.04, 0.04))
            else:
                middle = height * (0.30 + 0.46 * index + rng.uniform(-0.02, 0.02))
            line = self.row(board, adorned(row, style), faces_of, style, room, middle, ink, rng)
            out.append(Line(row, line.box, line.middles))
        return out

    def pick_faces(self, look, rng):
        """A face for Thai letters and one for the rest."""
        kinds = [kind for kind, _ in look.kinds]
        kind = kinds[int(rng.choice(len(kinds), p=[share for _, share in look.kinds]))]
        if kind != "thai":
            face = self.faces.choose(kind, rng)
            return {"thai": None, "rest": face}
        rest = self.faces.choose("dies" if rng.random() < 0.5 else "latin", rng)
        return {"thai": self.faces.choose("thai", rng), "rest": rest}

    def row(self, board, text, faces_of, style, room, middle, ink, rng):
        """Draws one line and says where it is."""
        pieces = [self.piece(c, faces_of, style) for c in text]
        wide = sum(piece.shape[1] for piece in pieces) + style.space * (len(pieces) - 1)
        free = (room[1] - room[0]) * style.fill
        if wide * style.stretch > free:
            pieces = [canvas.scaled(p, p.shape[1] * free / wide, p.shape[0]) for p in pieces]
            step = style.space * free / wide
        else:
            pieces = [canvas.scaled(p, p.shape[1] * style.stretch, p.shape[0]) for p in pieces]
            step = style.space * style.stretch
        total = int(sum(p.shape[1] for p in pieces) + step * (len(pieces) - 1))
        margin = INK * faces.MARGIN / faces.GLYPH
        mask = np.zeros((pieces[0].shape[0], total + 2), np.uint8)
        x = 0.0
        left = room[0] + (room[1] - room[0] - total) * rng.uniform(0.4, 0.6)
        middles = []
        for character, piece in zip(text, pieces):
            place = mask[:, int(x):int(x) + piece.shape[1]]
            np.maximum(place, piece[:, :place.shape[1]], out=place)
            if character != grammars.GAP:
                middles.append((left + x + piece.shape[1] / 2, middle))
            x += piece.shape[1] + step
        top = middle - INK / 2 - margin
        self.press(board, style.weigh(mask), left, top, ink, style)
        return Line(text, (left, middle - INK / 2, left + total, middle + INK / 2), middles)

    def press(self, board, mask, left, top, ink, style):
        board.ink(mask, left, top, ink)
        if style.relief == 0:
            return
        height, width = board.image.shape[:2]
        left, top = int(left), int(top)
        whole = np.zeros((height, width), np.uint8)
        cut = max(0, -top)
        part = mask[cut:cut + height - max(0, top), max(0, -left):]
        place = whole[max(0, top):, max(0, left):][:part.shape[0], :part.shape[1]]
        place[:] = part[:place.shape[0], :place.shape[1]]
        board.shade(canvas.emboss(whole, style.relief))

    def piece(self, character, faces_of, style):
        rows = int(INK * (faces.GLYPH + 2 * faces.MARGIN) / faces.GLYPH)
        if character == grammars.GAP:
            return style.gap_mask(rows)
        face = faces_of["thai"] if character in grammars.SETS["T"] else faces_of["rest"]
        mask = face.glyph(character)
        return canvas.scaled(mask, mask.shape[1] * INK / faces.GLYPH, rows)

    def words(self, board, look, grammar, lines, ink, province, rng):
        """Header and footer; the province where the look has one."""
        height, width = board.image.shape[:2]
        colour = ink if rng.random() < 0.6 else rng.integers(10, 200, 3)
        if look.header == "blue":
            board.box(0, 0, width, height * 0.24, near(BLUE, 28, rng))
            self.centred(board, "latin", "BRASIL", (0.03, 0.2), 0.4, WHITE, rng)
        if look.header == "words":
            top = min(line.box[1] for line in lines) / height
            if rng.random() < 0.85:
                header = grammar.header[int(rng.integers(len(grammar.header)))]
                rows = (0.03, max(0.1, top - 0.05))
                self.centred(board, "words", header, rows, rng.uniform(0.4, 0.85), colour, rng)
            if grammar.footer and rng.random() < 0.6:
                bottom = max(line.box[3] for line in lines) / height
                footer = grammar.footer[int(rng.integers(len(grammar.footer)))]
                rows = (min(0.9, bottom + 0.05), 0.97)
                self.centred(board, "words", footer, rows, rng.uniform(0.3, 0.8), colour, rng)
        if look.header == "province":
            return self.province_line(board, lines, province, ink, rng)
        return None, None

    def province_line(self, board, lines, province, ink, rng):
        names = grammars.alphabet.PROVINCES
        name = province or names[int(rng.integers(len(names)))]
        height = board.image.shape[0]
        if len(lines) == 2:
            rows = (lines[0].box[3] / height + 0.01, lines[1].box[1] / height - 0.01)
        else:
            top = lines[0].box[3] / height + rng.uniform(0.05, 0.09)
            rows = (top, min(0.96, top + rng.uniform(0.24, 0.34)))
        return name, self.centred(board, "thai", name, rows, rng.uniform(0.4, 0.8), ink, rng)

    def centred(self, board, kind, words, rows, share, colour, rng):
        """A line of words between two heights of the plate, at most share of its width."""
        height, width = board.image.shape[:2]
        mask = self.line_of_words(kind, words, rng)
        tall = (rows[1] - rows[0]) * height
        wide = min(width * share, mask.shape[1] * tall / mask.shape[0] * 1.2)
        mask = canvas.scaled(mask, max(4, wide), max(3, tall))
        x = (width - mask.shape[1]) / 2 + rng.uniform(-0.05, 0.05) * width
        board.ink(mask, x, rows[0] * height, colour)
        return (x, rows[0] * height, x + mask.shape[1], rows[1] * height)

    def bolts(self, board, lines, rng):
        """Bolts and stickers, beside the characters or lightly over them as in life."""
        height, width = board.image.shape[:2]
        if rng.random() < 0.2:  # The lower bolts, close under the characters.
            inset, shade = width * rng.uniform(0.2, 0.35), rng.integers(10, 120)
            y = lines[-1].box[3] + rng.uniform(0, 5)
            for x in (inset, width - inset):
                board.box(x, y, x + INK * rng.uniform(0.08, 0.2), y + 4, (shade, shade, shade))
        if rng.random() < 0.5:
            y = height * (rng.uniform(0.06, 0.16) if rng.random() < 0.7 else 0.5)
            inset = width * rng.uniform(0.04, 0.3)
            shade = rng.integers(30, 230)
            for x in (inset, width - inset):
                board.dot(x, y, INK * rng.uniform(0.05, 0.09), (shade, shade, shade))
        if rng.random() < 0.25:
            size = INK * rng.uniform(0.25, 0.5)
            x = width * (rng.uniform(0, 0.15) if rng.random() < 0.5 else rng.uniform(0.82, 0.95))
            y = rng.uniform(0.02, 0.1) * height if rng.random() < 0.7 else height - size * 1.1
            free = y + size < lines[0].box[1] or y > lines[-1].box[3]
            if free:
                board.box(x, y, x + size * 1.3, y + size, rng.integers(20, 240, 3))


def adorned(text, style):
    """A text with the emblem before or after it that some plates have there."""
    if style.emblem == 0 or style.mark == "-":
        return text
    return grammars.GAP + text if style.emblem < 0 else text + grammars.GAP


def near(colour, most, rng):
    """A colour a little away from this one."""
    return np.clip(np.array(colour) + rng.integers(-most, most + 1, 3), 0, 255)


class Style:
    """How one plate sets its text."""

    def __init__(self, look, rng):
        self.stretch = rng.uniform(0.75, 1.3)
        self.space = INK * rng.uniform(0.06, 0.28)
        self.fill = rng.uniform(0.8, 0.95)
        self.relief = rng.uniform(0.1, 0.45) if rng.random() < 0.4 else 0
        self.mark = look.marks[int(rng.integers(len(look.marks)))]
        self.gap = INK * rng.uniform(0.02, 0.5)
        self.seal = (rng.integers(0, 256, (5, 4)) * rng.uniform(0.3, 1)).astype(np.uint8)
        self.seal_size = INK * rng.uniform(0.3, 0.9)
        self.emblem = int(rng.integers(-1, 2)) if self.mark in "so" and rng.random() < 0.4 else 0
        self.bold = int(rng.integers(-1, 2)) if rng.random() < 0.4 else 0

    def paste(self, mask, size, middle):
        """A sticker or seal: a small square with something on it."""
        size = int(min(size, mask.shape[1] - 1))
        seal = canvas.scaled(self.seal, size, size)
        left, top = (mask.shape[1] - size) // 2, middle - size // 2
        mask[top:top + size, left:left + size] = seal

    def weigh(self, mask):
        """Bolder or lighter strokes."""
        if self.bold == 0:
            return mask
        change = cv2.dilate if self.bold > 0 else cv2.erode
        return change(mask, np.ones((2, 2), np.uint8))

    def gap_mask(self, rows):
        room = {" ": 0, "s": self.seal_size, "2": INK * 0.4}.get(self.mark, INK * 0.3)
        width = int(self.gap + room) + 1
        mask = np.zeros((rows, width), np.uint8)
        if self.mark == "-":
            mask[rows // 2 - 2:rows // 2 + 3, 1:-1] = 255
        elif self.mark == ".":
            cv2.circle(mask, (width // 2, rows // 2), max(2, int(INK * 0.07)), 255, -1)
        elif self.mark == "o":
            radius = int(min(width * 0.48, INK * 0.32))
            cv2.circle(mask, (width // 2, rows // 2), max(2, radius), 170, -1)
        elif self.mark == "s":
            self.paste(mask, self.seal_size, rows // 2)
        elif self.mark == "2":  # One over the other, as in Slovakia and Germany.
            self.paste(mask, INK * 0.24, rows // 2 - int(INK * 0.25))
            cv2.circle(mask, (width // 2, rows // 2 + int(INK * 0.2)), int(INK * 0.16), 150, -1)
        return mask
