"""What plates are painted on: a grey or a colour image, and a few ways to put ink on it."""
import cv2
import numpy as np

LUMA = np.array([0.114, 0.587, 0.299])  # Of blue, green and red.


class Canvas:
    """An image of one or three channels; colours are given as (blue, green, red) either way."""

    def __init__(self, width, height, colour, channels):
        self.channels = channels
        self.image = np.empty((height, width) if channels == 1 else (height, width, 3), np.uint8)
        self.image[:] = self.value(colour)

    def value(self, colour):
        if self.channels == 3:
            return np.array(colour, np.uint8)
        return np.uint8(np.dot(colour, LUMA))

    def box(self, x0, y0, x1, y1, colour):
        x0, y0, x1, y1 = (max(0, int(value)) for value in (x0, y0, x1, y1))
        self.image[y0:y1, x0:x1] = self.value(colour)

    def frame(self, inset, thickness, colour):
        height, width = self.image.shape[:2]
        value = self.value(colour).tolist()
        cv2.rectangle(self.image, (inset, inset), (width - 1 - inset, height - 1 - inset), value,
                      thickness, cv2.LINE_AA)

    def dot(self, x, y, radius, colour):
        cv2.circle(self.image, (int(x), int(y)), max(1, int(radius)), self.value(colour).tolist(), -1,
                   cv2.LINE_AA)

    def ink(self, mask, x, y, colour):
        """Paints a colour through a mask whose upper left corner is (x, y); what is outside is cut."""
        x, y = int(x), int(y)
        height, width = self.image.shape[:2]
        left, top = max(0, -x), max(0, -y)
        part = mask[top:max(top, height - y), left:max(left, width - x)]
        if part.size == 0:
            return
        x, y = x + left, y + top
        place = self.image[y:y + part.shape[0], x:x + part.shape[1]]
        amount = part.astype(np.int32)
        if self.channels == 3:
            amount = amount[:, :, None]
        below = place.astype(np.int32)
        place[:] = below + ((self.value(colour).astype(np.int32) - below) * amount) // 255

    def shade(self, change):
        """Adds a signed image of one channel."""
        change = change if self.channels == 1 else change[:, :, None]
        self.image = np.clip(self.image + change, 0, 255).astype(np.uint8)


def scaled(mask, width, height):
    size = (max(1, int(width)), max(1, int(height)))
    way = cv2.INTER_AREA if size[1] < mask.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(mask, size, interpolation=way)


def emboss(mask, strength):
    """Light from above on raised ink: a signed image."""
    soft = cv2.GaussianBlur(mask, (5, 5), 1.2).astype(np.int16)
    change = np.zeros_like(soft)
    change[2:-2, 2:-2] = soft[4:, 4:] - soft[:-4, :-4]
    return (change * strength).astype(np.int16)
