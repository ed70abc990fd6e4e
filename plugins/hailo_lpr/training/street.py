"""The street of a scene: sky, asphalt with its lines, pavements, houses with shops and signs, trees. All in
linear light.
"""
import cv2
import numpy as np

BANK, BANK_SIDE = 6, 512
FARTHEST = 150.0  # Metres to the end of the street.
SIGNS = ("CAFE Bakery HOTEL PHARMACY Boutique MARKET Books 24h PIZZA BANK Optik Blumen SALON Parking "
         "SUPERMARKET Friseur Noodles Electronics Fashion OPEN SALE").split()
THAI_SIGNS = "ร้านอาหาร กาแฟสด ร้านยา ตลาดสด โรงแรม ธนาคาร ซ่อมรถ ขายส่ง".split()
WALLS = [(.32, .40, .46), (.42, .46, .50), (.25, .30, .36), (.16, .20, .30), (.50, .52, .53), (.18, .24, .27),
         (.30, .36, .34), (.12, .15, .22)]


class Bank:
    """Pictures of noise from one seed: soft clouds (mean 0, deviation 1) that repeat at their edges."""

    def __init__(self, seed=5):
        rng = np.random.default_rng(seed)
        self.soft = [self.clouds(rng) for _ in range(BANK)]
        self.grain = rng.standard_normal((BANK_SIDE, BANK_SIDE)).astype(np.float32)
        self.leaves = [self.crown(rng) for _ in range(BANK)]

    def clouds(self, rng):
        out = np.zeros((BANK_SIDE, BANK_SIDE), np.float32)
        for cells, weight in ((4, 1.0), (8, .6), (16, .4), (32, .28), (64, .2), (128, .14)):
            small = rng.standard_normal((cells, cells)).astype(np.float32)
            tiled = np.tile(small, (3, 3))
            large = cv2.resize(tiled, (3 * BANK_SIDE, 3 * BANK_SIDE), interpolation=cv2.INTER_CUBIC)
            out += weight * large[BANK_SIDE:2 * BANK_SIDE, BANK_SIDE:2 * BANK_SIDE]
        return (out - out.mean()) / out.std()

    def crown(self, rng):
        """Light and cover of a tree from the front."""
        side = 384
        light, cover = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
        for _ in range(2600):
            angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * .40
            x = side * (.5 + reach * np.cos(angle) * rng.uniform(.8, 1.1))
            y = side * (.46 + reach * np.sin(angle) * .9)
            shade = float(np.clip(.55 - (y / side - .46) * 1.3 + rng.normal(0, .22), .08, 1.4))
            axes = (int(rng.integers(2, 7)), int(rng.integers(2, 4)))
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(light, (int(x), int(y)), axes, turn, 0, 360, shade, -1, cv2.LINE_AA)
            cv2.ellipse(cover, (int(x), int(y)), axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
        return light, cover


class Street:
    """One street before a camera. Lives for one scene."""

    def __init__(self, view, light, bank, painter, rng, thai=False):
        self.view, self.light, self.bank, self.painter, self.rng = view, light, bank, painter, rng
        self.thai = thai
        self.lanes = int(rng.integers(2, 5))
        self.lane = rng.uniform(3.0, 3.5)
        self.left = -self.lane * rng.uniform(.5, self.lanes - .5)  # Edge of the road.
        self.right = self.left + self.lane * self.lanes
        self.walk = rng.uniform(1.8, 4.0)
        self.crossing = float(rng.uniform(7, 30)) if rng.random() < .3 else None
        self.wet = rng.random() < .16
        self.soft = bank.soft[int(rng.integers(BANK))]
        houses = np.clip(rng.normal(.5, .3, 24), 0, 1)
        self.skyline = np.convolve(np.tile(np.repeat(houses, 10), 3), np.ones(5) / 5, "same")[240:480]
        self.skyline = self.skyline.astype(np.float32)
        self.shade = rng.uniform(self.left, self.right) if light.kind in ("clear", "low") else None

    def words(self, text):
        """A mask of a line of words in a face of its own."""
        return self.painter.line_of_words("thai" if any(c > "\u0e00" for c in text) else "latin", text, self.rng)

    def draw(self):
        rays = self.view.rays()
        picture = self.sky(rays)
        for side in self.sides():
            self.houses(picture, side)
        self.road(picture, rays)
        for _ in range(int(self.rng.integers(0, 5))):
            self.tree(picture)
        for _ in range(int(self.rng.integers(0, 3))):
            self.pole(picture)
        return picture

    def sky(self, rays):
        """Drawn at a quarter of the size: nothing in it is sharp."""
        light, part = self.light, rays[::4, ::4]
        up = np.clip(part[:, :, 1], 0, 1)[:, :, None]
        small = light.horizon + (light.zenith - light.horizon) * np.minimum(1, up * 1.8) ** np.float32(.7)
        if not light.night:
            lift = np.maximum(part[:, :, 1], .03)
            x = np.mod(part[:, :, 0] / lift * 60 + self.rng.uniform(0, BANK_SIDE), BANK_SIDE - 1)
            y = np.mod(part[:, :, 2] / lift * 60, BANK_SIDE - 1)
            cloud = cv2.remap(self.soft, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
            level = self.rng.uniform(-.2, .9)
            cover = np.clip((cloud - level) * .9, 0, .85) * np.clip(part[:, :, 1] * 8, 0, 1)
            small += (light.horizon * np.float32(1.12) - small) * cover[:, :, None]
        picture = cv2.resize(small, rays.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        picture[rays[:, :, 1] < 0] = light.ambient * .12  # Seen only through gaps of a pixel.
        return picture

    def road(self, picture, rays):
        """Everything below the horizon that no house covers."""
        view, light, rng = self.view, self.light, self.rng
        below = rays[:, :, 1] < -.004
        top = int(np.argmax(below.any(axis=1)))
        part = rays[top:]
        reach = view.height / np.maximum(-part[:, :, 1], .004)
        x, z = part[:, :, 0] * reach, part[:, :, 2] * reach
        on = (z < FARTHEST) & (z > 0) & (x > self.left - self.walk) & (x < self.right + self.walk)
        coarse = self.sample(x * 23, z * 23)
        broad = self.sample(x * 3 + 90, z * 1.2)
        away = np.exp(-reach / 14)
        tone = .15 * (1 + .16 * coarse * away + .13 * broad)
        tone *= 1 - .30 * np.clip(broad * 3 - 3.4, 0, 1)  # Patches of newer asphalt.
        tone = self.marks(tone, x, z, reach, broad)
        tone = self.pavement(tone, x, z, reach, coarse)
        if self.shade is not None:
            edge = np.clip((x - self.shade) * 3 + .6 * self.sample(z * 3, z * 0), 0, 1)
            tone = tone * (1 - .5 * (edge if light.sun[0] < 0 else 1 - edge))
        sun = light.ambient + .5 * light.sun_colour * light.sun[1]
        colour = tone[:, :, None] * sun.astype(np.float32) * np.array((1.02, 1.0, .98), np.float32)
        fog = (1 - np.exp(-reach * light.haze))[:, :, None]
        colour += (light.horizon.astype(np.float32) - colour) * fog
        if self.wet:
            colour *= .55
        place = picture[top:]
        place[on] = colour[on]
        self.top, self.on = top, on
        if self.wet:
            self.mirror(picture, part, on)
        if light.night:
            self.lamps_on_road(picture, x, z, on)

    def sample(self, x, z):
        """Noise at places of the ground."""
        wrap = BANK_SIDE - 1
        return cv2.remap(self.soft, np.mod(x, wrap).astype(np.float32), np.mod(z, wrap).astype(np.float32),
                         cv2.INTER_LINEAR)

    def marks(self, tone, x, z, reach, broad):
        """Painted lines, worn by the years, and patches of newer asphalt."""
        soft = np.maximum(reach / self.view.focal * 1.2, .012)
        worn = np.clip(.78 + .25 * broad, .25, 1)
        place = np.mod(x - self.left + self.lane / 2, self.lane) - self.lane / 2
        line = np.clip((.065 - np.abs(place)) / soft + .5, 0, 1)
        dash = np.clip((1.5 - np.abs(np.mod(z, 9.0) - 4.5)) / (soft * 6) + .5, 0, 1)
        middle = (x > self.left + self.lane / 2) & (x < self.right - self.lane / 2)
        line *= np.where(middle, dash, 1) * worn
        tone = tone + (.55 - tone) * line
        if self.crossing is not None:
            bars = np.clip((.25 - np.abs(np.mod(x, 1.0) - .5)) / soft + .5, 0, 1)
            bars *= np.clip((1.5 - np.abs(z - self.crossing)) / (soft * 5) + .5, 0, 1)
            tone = tone + (.5 - tone) * bars * worn
        track = (self.lane / 2 - np.abs(place) - .75) / .3
        return tone * (1 - .10 / (1 + track ** 4))  # Where the tyres roll.

    def pavement(self, tone, x, z, reach, coarse):
        """Beyond the kerbs: slabs; along them a gutter."""
        soft = np.maximum(reach / self.view.focal, .02)
        out = np.maximum(self.left - x, x - self.right)
        joint = np.maximum(np.abs(np.mod(x, .6) - .3), np.abs(np.mod(z, .6) - .3))
        joint = np.clip((.29 - joint) / soft + .5, 0, 1)
        near = np.clip(1.6 - reach / 16, 0, 1)
        slabs = .27 * (1 + .09 * coarse) * (1 - .22 * near * (1 - joint))
        kerb = np.clip((.18 - np.abs(out - .09)) / soft, 0, 1)
        gutter = 1 - .3 * np.clip((.3 + out) / .2, 0, 1) * (out < 0)
        tone = np.where(out > 0, slabs, tone * gutter)
        return tone + (.38 - tone) * kerb * (out > 0)

    def mirror(self, picture, rays, on):
        """Wet asphalt shows what stands behind it, smeared downwards."""
        top = self.top
        if top == 0:  # The camera looks so far down that nothing stands behind the road.
            return
        rows = len(picture) - top
        source = picture[max(0, top - rows):top][::-1]
        smear = cv2.blur(source, (9, 41))
        place = picture[top:top + len(smear)]
        facing = np.clip(-rays[:len(smear), :, 1], 0, 1)
        amount = (.06 + .75 * (1 - facing) ** 9) * on[:len(smear)]
        amount *= np.linspace(1, 0, len(smear), dtype=np.float32)[:, None]
        place += (smear - place) * amount[:, :, None].astype(np.float32)

    def lamps_on_road(self, picture, x, z, on):
        """Pools of light under street lamps, and that of the camera's own lamp."""
        gain = .14 * np.exp(-((x / 3.5) ** 2) - ((z - 8) / 9) ** 2)
        start = float(self.rng.uniform(4, 16))
        for distance in np.arange(start, 90, 24):
            side = self.left if int(distance / 24) % 2 else self.right
            gain = gain + .9 * np.exp(-((x - side) ** 2 + (z - distance) ** 2) / 40)
        colour = gain[:, :, None] * np.array((.10, .17, .22), np.float32)
        noise = 1 + .12 * self.sample(x * 9, z * 9)
        picture[self.top:][on] += (colour * noise[:, :, None])[on]

    # Houses.

    def sides(self):
        """Rows of houses: the end of the street, then left and right from far to near."""
        edges = (self.left - self.walk, self.right + self.walk)
        rows = [("end", edges[0] - 12, edges[1] + 12, FARTHEST)]
        for side, x in (("left", edges[0]), ("right", edges[1])):
            z = 3.5
            parts = []
            while z < FARTHEST:
                deep = self.rng.uniform(7, 16)
                parts.append((side, x, z, z + deep))
                z += deep
            rows += parts[::-1]
        return rows

    def houses(self, picture, row):
        rng = self.rng
        if row[0] == "end":
            _, left, right, z = row
            x = left
            while x < right:
                wide = rng.uniform(6, 14)
                self.facade(picture, (x, z), (x + wide, z), rng.uniform(6, 22))
                x += wide
            return
        side, x, near, far = row
        ends = ((x, near), (x, far)) if side == "left" else ((x, far), (x, near))
        tall = rng.uniform(6, 15)
        tone = self.facade(picture, *ends, tall)
        if tone is not None:
            self.gable(picture, x, near, -12 if side == "left" else 12, tall, tone)

    def gable(self, picture, x, z, deep, tall, tone):
        """The blind wall of a house that looks down the street, where it is higher than its neighbour."""
        corners = np.array([(x, 0, z), (x, tall, z), (x + deep, tall, z), (x + deep, 0, z)])
        flat, depth = self.view.project(corners)
        if depth.min() < 1.0:
            return
        points = np.round(np.clip(flat, -3000, 6000) * 16).astype(np.int32)
        cv2.fillConvexPoly(picture, points, (tone * .8).tolist(), cv2.LINE_8, 4)

    def facade(self, picture, left, right, tall):
        view, light = self.view, self.light
        corners = np.array([(left[0], tall, left[1]), (right[0], tall, right[1]), (right[0], 0, right[1]),
                            (left[0], 0, left[1])])
        flat, depth = view.project(corners)
        low, high = flat.min(axis=0), flat.max(axis=0)
        if depth.min() < 1.0 or high[0] < 0 or low[0] > view.size[0] or np.ptp(flat[:, 0]) < 2:
            return None
        wide = np.hypot(right[0] - left[0], right[1] - left[1])
        normal = np.array([-(right[1] - left[1]), 0, right[0] - left[0]]) / wide
        sun = max(0.0, float(-normal @ light.sun))
        scale = float(np.clip(np.ptp(flat[:, 1]) / tall * 1.1, 4, 32))
        wall = self.wall(wide, tall, scale) * (light.ambient * .75 + .5 * sun * light.sun_colour)
        wall = wall.astype(np.float32) + self.windows_lit
        reach = max(1.0, float(depth.min()) * .7 + float(depth.max()) * .3)
        wall += (light.horizon.astype(np.float32) - wall) * (1 - np.exp(-reach * light.haze * 1.3))
        rows, columns = wall.shape[:2]
        source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
        x0, x1 = int(max(0, low[0])), int(min(view.size[0], high[0] + 1))
        y0, y1 = int(max(0, low[1])), int(min(view.size[1], high[1] + 1))
        if x1 <= x0 or y1 <= y0:
            return None
        matrix = cv2.getPerspectiveTransform(source, (flat - (x0, y0)).astype(np.float32))
        place = np.ascontiguousarray(picture[y0:y1, x0:x1])
        cv2.warpPerspective(wall, matrix, (x1 - x0, y1 - y0), dst=place, flags=cv2.INTER_LINEAR,
                            borderMode=cv2.BORDER_TRANSPARENT)
        picture[y0:y1, x0:x1] = place
        return wall[0, 0]

    def wall(self, wide, tall, scale):
        """A house from the front: floors of windows above a shop."""
        rng = self.rng
        columns, rows = max(8, int(wide * scale)), max(8, int(tall * scale))
        image = np.empty((rows, columns, 3), np.float32)
        image[:] = np.array(WALLS[int(rng.integers(len(WALLS)))]) * rng.uniform(.6, 1.1)
        soft = cv2.resize(self.soft[:256, :256], (columns, rows))
        image *= (1 + .07 * soft)[:, :, None]
        image *= np.linspace(1.05, .82, rows, dtype=np.float32)[:, None, None]
        self.windows_lit = np.zeros_like(image)
        floor, ground = rng.uniform(2.9, 3.6), rng.uniform(3.2, 4.0)
        step = rng.uniform(1.9, 3.2)
        if rng.random() < .25 and scale > 8:  # Bricks.
            image *= (1 - .10 * (np.arange(rows) % max(3, int(scale * .12)) == 0))[:, None, None]
        y = ground
        while y + floor < tall:
            band = int(rows - y * scale)
            image[band - 1:band + max(1, int(scale * .06))] *= .72
            for x in np.arange(step * .3, wide - step * .6, step):
                self.window(image, x, y + .8, step * .5, floor * .5, scale)
            y += floor
        if tall * scale > 30:
            self.shop(image, wide, ground, scale)
        return image

    def window(self, image, x, y, wide, tall, scale):
        rows = image.shape[0]
        x0, x1 = int(x * scale), int((x + wide) * scale)
        y0, y1 = int(rows - (y + tall) * scale), int(rows - y * scale)
        if x1 - x0 < 2 or y1 - y0 < 2 or y0 < 1:
            return
        rng = self.rng
        edge = max(1, int(scale * .07))
        image[max(0, y0 - edge):y1 + edge, max(0, x0 - edge):x1 + edge] = image[y0, x0] * 1.25
        shade = np.linspace(rng.uniform(.10, .34), rng.uniform(.03, .10), y1 - y0, dtype=np.float32)
        glass = shade[:, None, None] * np.array((1.15, 1.02, .92), np.float32)
        image[y0:y1, x0:x1] = glass
        if rng.random() < .4:  # A blind or a curtain.
            image[y0:y0 + int((y1 - y0) * rng.uniform(.2, .9)), x0:x1] = rng.uniform(.25, .55)
        image[y0:y1, (x0 + x1) // 2:(x0 + x1) // 2 + max(1, edge // 2)] = .35
        image[y1:y1 + edge, max(0, x0 - edge):x1 + edge] *= 1.2
        if self.light.night and rng.random() < .3:
            self.windows_lit[y0:y1, x0:x1] = np.array((.10, .28, .42)) * rng.uniform(.3, 1.3)

    def shop(self, image, wide, ground, scale):
        """The ground floor: glass, a door, a sign, sometimes an awning."""
        rng = self.rng
        rows, columns = image.shape[:2]
        top = int(rows - (ground - .7) * scale)
        base = int(rows - .45 * scale)
        image[max(0, int(rows - ground * scale)):top] *= .9
        x = .4
        while x + 1.2 < wide:
            pane = rng.uniform(1.2, 3.0)
            x0, x1 = int(x * scale), int(min(wide - .3, x + pane) * scale)
            floor = rows - int(.05 * scale) if rng.random() < .25 else base
            shade = np.linspace(rng.uniform(.08, .2), .03, max(1, floor - top), dtype=np.float32)
            image[top:floor, x0:x1] = shade[:, None, None] * np.array((1.1, 1.02, .95), np.float32)
            if self.light.night and rng.random() < .5:
                self.windows_lit[top:floor, x0:x1] = np.array((.25, .45, .55)) * rng.uniform(.3, 1.1)
            elif rng.random() < .6:  # What is in the window.
                low = top + int((floor - top) * rng.uniform(.35, .7))
                image[low:floor, x0:x1] *= rng.uniform(1.2, 3.0, 3).astype(np.float32)
            x += pane + .15
        if rng.random() < .8:
            self.sign(image, wide, ground, scale)

    def sign(self, image, wide, ground, scale):
        rng = self.rng
        rows = image.shape[0]
        tall, long = rng.uniform(.45, .75), wide * rng.uniform(.4, .9)
        y0, y1 = int(rows - (ground + .05) * scale), int(rows - (ground + .05 - tall) * scale)
        x0 = int((wide - long) * rng.random() * scale)
        x1 = int(x0 + long * scale)
        if y0 < 0 or y1 - y0 < 6 or x1 - x0 < 12:
            return
        board = rng.uniform(0, .6, 3)
        ink = board + .5 if board.mean() < .3 else board * .15
        image[y0:y1, x0:x1] = board
        words = (THAI_SIGNS if self.thai and rng.random() < .6 else SIGNS)
        mask = self.words(words[int(rng.integers(len(words)))])
        height = (y1 - y0) * .68
        width = min((x1 - x0) * .9, mask.shape[1] * height / mask.shape[0])
        mask = cv2.resize(mask, (max(2, int(width)), max(2, int(height))), interpolation=cv2.INTER_AREA)
        y, x = (y0 + y1 - mask.shape[0]) // 2, (x0 + x1 - mask.shape[1]) // 2
        place = image[y:y + mask.shape[0], x:x + mask.shape[1]]
        part = mask[:place.shape[0], :place.shape[1], None].astype(np.float32) / 255
        place += (ink.astype(np.float32) - place) * part
        if self.light.night and rng.random() < .6:
            self.windows_lit[y0:y1, x0:x1] += image[y0:y1, x0:x1] * np.float32(1.2)

    # What stands on the pavement.

    def beside(self):
        """A place on one of the pavements."""
        z = float(self.rng.uniform(9, 60))
        left = self.rng.random() < .5
        return (self.left - self.walk * .6 if left else self.right + self.walk * .6), z

    def tree(self, picture):
        rng, light = self.rng, self.light
        x, z = self.beside()
        tall = rng.uniform(4, 8)
        self.post(picture, x, z, tall * .55, .16, np.array((.05, .07, .09)))
        shade, cover = self.bank.leaves[int(rng.integers(BANK))]
        green = np.array((.035, .13, .075)) * rng.uniform(.6, 1.5, 3)
        tone = light.ambient + .45 * light.sun_colour
        leaves = shade[:, :, None] * (green * tone).astype(np.float32)
        fog = 1 - np.exp(-z * light.haze)
        leaves += (light.horizon.astype(np.float32) - leaves) * fog
        self.stick(picture, leaves, cover, (x, tall * .72, z), tall * .8)

    def stick(self, picture, image, cover, middle, metres):
        """A flat picture that looks at the camera."""
        (centre,), (depth,) = self.view.project([middle])
        side = int(metres * self.view.focal / depth)
        if depth < 3 or side < 3 or side > 2200:
            return
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        cover = cv2.resize(cover, (side, side), interpolation=cv2.INTER_AREA)
        blend(picture, image, cover, (int(centre[0] - side / 2), int(centre[1] - side / 2)))

    def post(self, picture, x, z, tall, thick, colour):
        corners = [(x - thick / 2, 0, z), (x + thick / 2, 0, z), (x + thick / 3, tall, z), (x - thick / 3, tall, z)]
        flat, depth = self.view.project(corners)
        if depth.min() < 2:
            return
        tone = colour * (self.light.ambient + .3 * self.light.sun_colour)
        cv2.fillConvexPoly(picture, np.round(flat * 16).astype(np.int32), tone.tolist(), cv2.LINE_8, 4)

    def pole(self, picture):
        """A street lamp or a road sign."""
        x, z = self.beside()
        tall = self.rng.uniform(2.4, 7)
        self.post(picture, x, z, tall, .11, np.array((.12, .12, .12)))
        if tall < 3.4:
            (centre,), (depth,) = self.view.project([(x, tall - .3, z)])
            radius = int(.3 * self.view.focal / max(depth, 1))
            if depth > 2 and radius > 1:
                tone = self.light.ambient + .3 * self.light.sun_colour
                middle = (int(centre[0]), int(centre[1]))
                cv2.circle(picture, middle, radius, (tone * (.02, .02, .4)).tolist(), -1, cv2.LINE_AA)
                cv2.circle(picture, middle, int(radius * .78), (tone * .7).tolist(), -1, cv2.LINE_AA)
        elif self.light.night:
            (centre,), _ = self.view.project([(x, tall, z)])
            glow(picture, centre, .9 * self.view.focal / z, np.array((.5, .85, 1.1)))


def blend(picture, image, cover, corner):
    """Puts a picture with its cover on another one; what is outside is cut."""
    x, y = corner
    rows, columns = picture.shape[:2]
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(image.shape[0], rows - y), min(image.shape[1], columns - x)
    if bottom <= top or right <= left:
        return
    place = picture[y + top:y + bottom, x + left:x + right]
    place += (image[top:bottom, left:right] - place) * cover[top:bottom, left:right, None]


def glow(picture, centre, radius, colour):
    """A light that dazzles: a bright middle and a halo."""
    radius = int(np.clip(radius, 4, 160))
    x, y = int(centre[0]), int(centre[1])
    rows, columns = picture.shape[:2]
    x0, x1, y0, y1 = max(0, x - radius), min(columns, x + radius), max(0, y - radius), min(rows, y + radius)
    if x1 <= x0 or y1 <= y0:
        return
    across, down = np.meshgrid(np.arange(x0, x1) - x, np.arange(y0, y1) - y)
    away = np.sqrt(across ** 2 + down ** 2) / radius
    shape = np.clip(1 - away, 0, 1) ** 3 + .8 * np.exp(-(away * 9) ** 2)
    picture[y0:y1, x0:x1] += shape[:, :, None].astype(np.float32) * colour.astype(np.float32)
