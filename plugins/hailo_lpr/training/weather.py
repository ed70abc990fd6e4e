"""What stands between a scene and its picture: rain, exposure, lens, movement, noise, compression."""
import cv2
import numpy as np

CONTRAST = 0.5  # Of the camera's curve: darks darker, lights lighter.


def photograph(picture, road, rng):
    """An image of 8 bits from linear light."""
    light = road.light
    if road.wet:
        picture = rain(picture, light, rng)
    picture *= exposure(picture, light, rng)
    bloom(picture, light)
    vignette(picture, rng)
    if rng.random() < .25:
        length = rng.uniform(1.5, 4.0) * picture.shape[1] / 1280
        picture = cv2.filter2D(picture, -1, movement(length, rng.normal(0, .4)))
    soft = rng.uniform(.3, .75)
    picture = cv2.GaussianBlur(picture, (5, 5), soft)
    return sensor(picture, light, road.bank, rng)


def exposure(picture, light, rng):
    """The gain that makes the middle of the picture as bright as cameras do."""
    small = picture[::8, ::8]
    mean = float(np.mean(np.sqrt(np.clip(small.mean(axis=2), 0, 4))))
    target = .30 if light.night else .47
    gain = (target / max(mean, .05)) ** 2
    return float(np.clip(gain, .4, 4.0 if light.night else 2.2) * rng.uniform(.75, 1.25))


def bloom(picture, light):
    """Bright places shine over their edges."""
    small = cv2.resize(picture, None, fx=.25, fy=.25, interpolation=cv2.INTER_AREA)
    over = np.clip(small - 1.0, 0, 6)
    if over.max() <= 0:
        return
    halo = cv2.GaussianBlur(over, (0, 0), 6) * (.30 if light.night else .12)
    picture += cv2.resize(halo, picture.shape[1::-1])


def vignette(picture, rng):
    rows, columns = picture.shape[:2]
    x = np.linspace(-1, 1, columns, dtype=np.float32)
    y = np.linspace(-1, 1, rows, dtype=np.float32)
    fall = 1 - rng.uniform(.05, .3) * (x[None, :] ** 2 + y[:, None] ** 2) / 2
    picture *= fall[:, :, None]


def rain(picture, light, rng):
    """Streaks of falling drops and the grey that they make of what is far."""
    rows, columns = picture.shape[:2]
    drops = np.zeros((rows, columns), np.float32)
    slant = rng.normal(0, .12)
    for _ in range(int(columns * rows / 2600)):
        x, y = int(rng.integers(columns)), int(rng.integers(-20, rows))
        long = int(rng.integers(6, 26))
        end = (int(x + long * slant), y + long)
        cv2.line(drops, (x, y), end, float(rng.uniform(.15, .7)), 1, cv2.LINE_AA)
    drops = cv2.GaussianBlur(drops, (3, 3), .6)
    tone = (light.horizon * .5).astype(np.float32)
    picture += (tone - picture) * (.03 + .22 * drops)[:, :, None]
    return picture


def movement(length, angle):
    size = int(np.ceil(length)) * 2 + 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    step = np.linspace(-length / 2, length / 2, 24)
    for s in step:
        kernel[int(round(middle + s * np.sin(angle))), int(round(middle + s * np.cos(angle)))] += 1
    return kernel / kernel.sum()


def grain(bank, rows, columns, rng):
    """Noise of the sensor, from a bank that is laid side by side at a random place."""
    side = len(bank.grain)
    x, y = rng.integers(0, side, 2)
    one = np.roll(bank.grain, (int(y), int(x)), (0, 1))
    return np.tile(one, (rows // side + 1, columns // side + 1))[:rows, :columns]


def sensor(picture, light, bank, rng):
    """Noise in the light, the curve of the camera, 8 bits, a trip through JPEG."""
    rows, columns = picture.shape[:2]
    np.maximum(picture, 0, out=picture)
    image = cv2.sqrt(picture)
    image -= .05 * picture  # Highlights are rolled off.
    np.minimum(image, 1, out=image)
    image += (CONTRAST * image) * (1 - image) * (2 * image - 1)
    image *= 255
    strength = rng.uniform(1.0, 3.5) * (2.2 if light.night else 1)
    image += (grain(bank, rows, columns, rng) * np.float32(strength))[:, :, None]
    image = cv2.add(image, 0, dtype=cv2.CV_8U)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 93))])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)
