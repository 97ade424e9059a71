#!/usr/bin/env python3
"""compare_events.py A.xml B.xml: both logs of xmllogsink are well-formed and hold the same events.

Compares type, message and elapsed seconds of each; the wall-clock
times differ by nature, and a score in brackets may differ by its last
digit, because decoders and converters of two versions round differently.
"""

import collections
import re
import sys
import xml.etree.ElementTree as ET


def events(path):
    counts = collections.Counter()
    for frame in ET.parse(path).getroot().iter("frame"):
        for result in frame.iter("result"):
            message = re.sub(r"\(\d\.\d\d\)", "(score)", result.get("message"))
            counts[(result.get("type"), message, frame.get("elapsed_seconds"))] += 1
    return counts


a, b = map(events, sys.argv[1:3])
if not a:
    sys.exit(f"  {sys.argv[1]} holds no event")
if a != b:
    sys.exit("  the events differ:\n  only in the first: %s\n  only in the second: %s" % (dict(a - b), dict(b - a)))
kinds = collections.Counter()
for (kind, _, _), count in a.items():
    kinds[kind] += count
print("  the same events: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
