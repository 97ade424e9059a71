#!/usr/bin/env python3
"""compare_boxes.py DRAWN UNDRAWN: the tenth grey 1280x720 frame of the sample clip, with a box drawn and without.

What differs must be the outline of the face: its bounding box overlaps the face that is known to be there, and the
inside is untouched.
"""

import sys

WIDTH, HEIGHT, FRAME = 1280, 720, 9
# The face in the first second of media/sample.mp4, in pixels: left, top, right, bottom.
FACE = (548, 202, 990, 645)


def frame(path):
    data = open(path, "rb").read()[FRAME * WIDTH * HEIGHT : (FRAME + 1) * WIDTH * HEIGHT]
    if len(data) != WIDTH * HEIGHT:
        sys.exit(f"  {path} has no frame {FRAME}")
    return data


drawn, plain = map(frame, sys.argv[1:3])
rows = [y for y in range(HEIGHT) if drawn[y * WIDTH : (y + 1) * WIDTH] != plain[y * WIDTH : (y + 1) * WIDTH]]
if not rows:
    sys.exit("  objectdetectionoverlay drew nothing")
changed = [(x, y) for y in rows for x in range(WIDTH) if abs(drawn[y * WIDTH + x] - plain[y * WIDTH + x]) > 8]
left, right = min(x for x, _ in changed), max(x for x, _ in changed)
top, bottom = min(y for _, y in changed), max(y for _, y in changed)
common = max(0, min(right, FACE[2]) - max(left, FACE[0])) * max(0, min(bottom, FACE[3]) - max(top, FACE[1]))
union = (right - left) * (bottom - top) + (FACE[2] - FACE[0]) * (FACE[3] - FACE[1]) - common
print(f"  objectdetectionoverlay drew {len(changed)} pixels in ({left},{top})-({right},{bottom}), overlap with the face {common / union:.2f}")
if common / union < 0.5:
    sys.exit("  that is not where the face is")
if len(changed) > 0.1 * (right - left) * (bottom - top):
    sys.exit("  that is not an outline")
