#!/usr/bin/env python3
"""Makes tests/media/biden-eyes-shut.png out of biden.jpg: the same portrait with the eyes shut.

The skin between brow and lashes is stretched down over the eye, as an upper eyelid does; nothing is painted. Needs
numpy and opencv-python-headless from PyPI. The contours are where the landmark model sees the eyelids in this picture.
"""

import pathlib

import cv2
import numpy as np

MEDIA = pathlib.Path(__file__).resolve().parent.parent / "tests/media"
# (upper lid, lower lid) of each eye from left to right, in pixels of the portrait.
EYES = [
    (
        [(511, 322), (514, 320), (518, 319), (525, 318), (534, 318), (543, 320), (552, 324), (559, 329), (562, 333)],
        [(511, 322), (515, 325), (519, 327), (525, 329), (534, 331), (544, 332), (553, 332), (559, 333), (562, 333)],
    ),
    (
        [(626, 346), (630, 344), (637, 342), (647, 342), (656, 344), (664, 347), (669, 351), (671, 354), (673, 356)],
        [(626, 346), (629, 348), (634, 350), (642, 353), (651, 356), (660, 357), (665, 358), (669, 357), (673, 356)],
    ),
]
# In heights of the open eye: the lashes come from a little above the upper lid and end a little below the lower one.
ABOVE, BELOW = 0.2, 0.45
# How far up the skin is stretched, in widths of the eye: up to the brow.
REACH = 0.45
CROP = (slice(80, 626), slice(0, 970))


def main():
    picture = cv2.imread(str(MEDIA / "biden.jpg"))
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    source = rows.copy()
    for upper, lower in (np.array(lids, np.float32) for lids in EYES):
        x = np.arange(width, dtype=np.float32)
        top, bottom = np.interp(x, *upper.T), np.interp(x, *lower.T)
        left, right = upper[0, 0], upper[-1, 0]
        opening = np.where((x > left) & (x < right), bottom - top, 0)
        brow = np.minimum(top, bottom) - REACH * (right - left)
        lashes, shut = top - ABOVE * opening, bottom + BELOW * opening
        lid = (rows >= brow) & (rows <= shut) & (opening > 0)
        source = np.where(lid, brow + (rows - brow) / (shut - brow) * (lashes - brow), source)
    shut_picture = cv2.remap(picture, columns, source.astype(np.float32), cv2.INTER_CUBIC)
    cv2.imwrite(str(MEDIA / "biden-eyes-shut.png"), shut_picture[CROP])


main()
