"""Faces for plates: those of Debian's font packages that plates resemble, with weights, and stroke
faces. A face gives masks of characters; masks are drawn once and kept.
"""
import functools
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import alphabet
import strokes

FONTS = pathlib.Path("/usr/share/fonts")
TEXGYRE = pathlib.Path("/usr/share/texmf/fonts/opentype/public/tex-gyre")
GLYPH = 64  # Height of a capital letter, and of the Thai letter ko kai, in a mask.
MARGIN = 32  # Rows above and below it, for Thai strokes that leave the line.
MASKS = 8192  # Masks kept, of each kind; about 60 MiB.
HINT = 200  # Point size at which a face is measured.

# Weight, file, and how much to stretch a mask at most and least.
LATIN = [
    (5, "truetype/roadgeek/RG2014B.ttf"),
    (6, "truetype/roadgeek/RG2014C.ttf"),
    (6, "truetype/roadgeek/RG2014D.ttf"),
    (3, "truetype/roadgeek/RG2014E.ttf"),
    (5, "truetype/opendin/OSP-DIN.ttf"),
    (3, "opentype/bebas-neue/BebasNeue-Bold.otf"),
    (3, "opentype/bebas-neue/BebasNeue-Regular.otf"),
    (3, "opentype/urw-base35/NimbusSansNarrow-Bold.otf"),
    (2, "opentype/urw-base35/NimbusSansNarrow-Regular.otf"),
    (3, "opentype/urw-base35/NimbusSans-Bold.otf"),
    (3, "truetype/liberation/LiberationSansNarrow-Bold.ttf"),
    (2, "truetype/liberation/LiberationSans-Bold.ttf"),
    (2, "truetype/dejavu/DejaVuSansCondensed-Bold.ttf"),
    (2, "truetype/dejavu/DejaVuSansCondensed.ttf"),
    (1, "truetype/dejavu/DejaVuSansMono-Bold.ttf"),
    (3, "truetype/roboto/unhinted/RobotoCondensed-Bold.ttf"),
    (3, "truetype/roboto/unhinted/RobotoCondensed-Medium.ttf"),
    (2, "truetype/roboto/unhinted/RobotoCondensed-Regular.ttf"),
    (2, "opentype/yanone-kaffeesatz/YanoneKaffeesatz-Bold.otf"),
    (3, "truetype/osifont/osifont.ttf"),
    (3, "truetype/routed-gothic/routed-gothic.ttf"),
    (2, "truetype/routed-gothic/routed-gothic-narrow.ttf"),
    (2, "opentype/national-park/NationalPark-Heavy.otf"),
    (2, "opentype/national-park/NationalPark-Regular.otf"),
    (2, "opentype/ocr-b/OCRB.otf"),
    (2, "truetype/adf/GilliusADF-BoldCond.otf"),
    (2, "truetype/adf/GilliusADF-Bold.otf"),
    (2, "truetype/adf/SwitzeraADF-BoldCond.otf"),
    (2, "truetype/adf/SwitzeraADF-DmBdCond.otf"),
    (1, "truetype/adf/SwitzeraADF-Bold.otf"),
    (2, "truetype/open-sans/OpenSans-CondBold.ttf"),
    (1, "truetype/open-sans/OpenSans-Semibold.ttf"),
    (2, "opentype/b612/B612-Bold.otf"),
    (2, "opentype/cabin/Cabin-Bold.otf"),
    (2, "opentype/dosis/Dosis-Bold.otf"),
    (2, "opentype/dosis/Dosis-SemiBold.otf"),
    (1, "truetype/lato/Lato-Bold.ttf"),
    (2, "truetype/paratype/PTN77F.ttf"),
    (1, "truetype/paratype/PTN57F.ttf"),
    (1, "truetype/freefont/FreeSansBold.ttf"),
    (1, "truetype/freefont/FreeMonoBold.ttf"),
    (3, TEXGYRE / "texgyreheroscn-bold.otf"),
    (2, TEXGYRE / "texgyreheros-bold.otf"),
    (1, TEXGYRE / "texgyreadventor-bold.otf"),
]
THAI = [
    (4, "truetype/tlwg/Garuda-Bold.ttf"),
    (3, "truetype/tlwg/Garuda.ttf"),
    (4, "truetype/tlwg/Loma-Bold.ttf"),
    (3, "truetype/tlwg/Loma.ttf"),
    (3, "truetype/tlwg/Laksaman-Bold.ttf"),
    (2, "truetype/tlwg/Laksaman.ttf"),
    (3, "truetype/tlwg/Waree-Bold.ttf"),
    (3, "truetype/tlwg/Waree.ttf"),
    (3, "truetype/tlwg/Umpush-Bold.ttf"),
    (2, "truetype/tlwg/Umpush.ttf"),
    (2, "truetype/tlwg/Sawasdee-Bold.ttf"),
    (2, "truetype/tlwg/TlwgTypo-Bold.ttf"),
    (2, "truetype/tlwg/TlwgTypewriter-Bold.ttf"),
    (2, "truetype/tlwg/TlwgMono-Bold.ttf"),
    (2, "truetype/tlwg/TlwgTypist-Bold.ttf"),
    (1, "truetype/tlwg/Norasi-Bold.ttf"),
    (1, "truetype/tlwg/Kinnari-Bold.ttf"),
    (1, "truetype/tlwg/Purisa-Bold.ttf"),
    (3, "truetype/arundina/ArundinaSans-Bold.ttf"),
    (2, "truetype/arundina/ArundinaSans.ttf"),
    (1, "truetype/arundina/ArundinaSansMono-Bold.ttf"),
    (3, "truetype/noto/NotoLoopedThai-Bold.ttf"),
    (2, "truetype/noto/NotoLoopedThai-Regular.ttf"),
]
# For headers and slogans, which are never read.
WORDS = [
    (3, "truetype/roadgeek/RG2014E.ttf"),
    (3, TEXGYRE / "texgyrechorus-mediumitalic.otf"),
    (3, "truetype/liberation/LiberationSerif-BoldItalic.ttf"),
    (2, "truetype/liberation/LiberationSerif-Bold.ttf"),
    (2, "truetype/liberation/LiberationSansNarrow-Bold.ttf"),
    (2, "truetype/lato/Lato-BlackItalic.ttf"),
    (2, TEXGYRE / "texgyrebonum-bolditalic.otf"),
    (2, TEXGYRE / "texgyreheroscn-bold.otf"),
    (2, "truetype/freefont/FreeSerifBoldItalic.ttf"),
    (2, "opentype/yanone-kaffeesatz/YanoneKaffeesatz-Bold.otf"),
    (1, TEXGYRE / "texgyrepagella-bold.otf"),
    (1, "opentype/dosis/Dosis-Bold.otf"),
]
DIES = 48  # Stroke faces, no two alike.
DIES_SEED = 11


def dies():
    """Forms of stroke faces: width, stroke, corner radius, middle, flat, bar, slab, four."""
    rng = np.random.default_rng(DIES_SEED)
    return [(rng.uniform(0.38, 0.66), rng.uniform(0.095, 0.175), rng.uniform(0.12, 0.5),
             rng.uniform(0.44, 0.54), rng.random() < 0.15, rng.random() < 0.25,
             rng.random() < 0.55, int(rng.integers(len(strokes.FOURS))))
            for _ in range(DIES)]


class FontFace:
    """A font file: masks are GLYPH + 2 * MARGIN rows high."""

    def __init__(self, path):
        self.path = path if isinstance(path, pathlib.Path) else FONTS / path
        self.fonts = {}

    @functools.lru_cache(maxsize=MASKS)
    def glyph(self, character):
        font = self.sized("ก" if character in alphabet.THAI else "H")
        left, top, right, bottom = font.getbbox(character, anchor="ls")
        image = Image.new("L", (max(1, right - left), GLYPH + 2 * MARGIN))
        ImageDraw.Draw(image).text((-left, GLYPH + MARGIN), character, 255, font=font, anchor="ls")
        return np.asarray(image)

    def sized(self, reference):
        """The font at the size at which a letter of this script is GLYPH high."""
        if reference not in self.fonts:
            measure = ImageFont.truetype(str(self.path), HINT)
            _, top, _, _ = measure.getbbox(reference, anchor="ls")
            self.fonts[reference] = ImageFont.truetype(str(self.path), round(HINT * GLYPH / -top))
        return self.fonts[reference]


class DieFace:
    """A stroke face with the masks of a FontFace."""

    def __init__(self, form):
        self.face = strokes.StrokeFace(*form)

    @functools.lru_cache(maxsize=MASKS)
    def glyph(self, character):
        return np.pad(self.face.glyph(character, GLYPH), ((MARGIN, MARGIN), (0, 0)))


class Faces:
    """All faces, chosen by weight."""

    def __init__(self):
        self.latin = [FontFace(path) for _, path in LATIN]
        self.dies = [DieFace(form) for form in dies()]
        self.thai = [FontFace(path) for _, path in THAI]
        self.words = [FontFace(path) for _, path in WORDS]
        self.shares = {"words": shares(WORDS), "latin": shares(LATIN), "dies": np.full(DIES, 1 / DIES),
                       "thai": shares(THAI)}

    def choose(self, kind, rng):
        faces = getattr(self, kind)
        return faces[int(rng.choice(len(faces), p=self.shares[kind]))]

    @functools.lru_cache(maxsize=MASKS)
    def text(self, kind, index, words):
        """A mask of a whole line of small text, cropped, for headers and provinces."""
        face = getattr(self, kind)[index]
        font = face.sized("ก" if kind == "thai" else "H")
        left, top, right, bottom = font.getbbox(words, anchor="ls")
        image = Image.new("L", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(image).text((-left, -top), words, 255, font=font, anchor="ls")
        return np.asarray(image)


def shares(entries):
    weights = np.array([entry[0] for entry in entries], float)
    return weights / weights.sum()


def missing():
    """Font files that are not installed."""
    faces = Faces()
    files = [face.path for face in faces.latin + faces.thai + faces.words]
    return [str(path) for path in files if not path.is_file()]
