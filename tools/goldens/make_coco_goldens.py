#!/usr/bin/env python3
"""Makes launcher/tests/data/coco: annotations and results of no real picture, and what pycocotools 2.0.11 says of them.

pip install pycocotools==2.0.11 numpy; then run this from the root of the repository.
"""

import contextlib
import io
import json
import random
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

OUT = Path("launcher/tests/data/coco")
CATEGORIES = {1: "person", 3: "car", 18: "dog", 44: "bottle", 90: "toothbrush"}


def box(rng: random.Random) -> list[float]:
    """Small, medium and large ones."""
    side = rng.choice([12, 30, 32, 60, 96, 150, 300])
    w, h = side * rng.uniform(0.6, 1.4), side * rng.uniform(0.6, 1.4)
    return [round(v, 2) for v in (rng.uniform(0, 340), rng.uniform(0, 180), w, h)]


def annotations(rng: random.Random) -> dict:
    images = [{"id": 100 - 7 * n, "file_name": f"{n:04}.jpg", "width": 640, "height": 480} for n in range(14)]
    made = []
    for image in images[:-2]:
        # The toothbrush is in no picture.
        for _ in range(rng.randint(0, 9)):
            b = box(rng)
            made.append({
                "id": len(made) + 1,
                "image_id": image["id"],
                "category_id": rng.choice([1, 1, 1, 3, 18, 44]),
                "bbox": b,
                "area": round(b[2] * b[3] * rng.uniform(0.5, 1.0), 2),
                "iscrowd": int(rng.random() < 0.12),
            })
    # Exactly at the bounds of the ranges, and one picture full of people.
    for side in (32.0, 96.0):
        made.append({"id": len(made) + 1, "image_id": images[0]["id"], "category_id": 3, "bbox": [5.0, 5.0, side, side],
                     "area": side * side, "iscrowd": 0})
    for n in range(120):
        made.append({"id": len(made) + 1, "image_id": images[1]["id"], "category_id": 1,
                     "bbox": [5.0 * n, 10.0, 4.0, 30.0], "area": 120.0, "iscrowd": 0})
    names = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    return {"images": images, "annotations": made, "categories": names}


def results(rng: random.Random, truth: dict, jitter: float, miss: float, extra: int, scores: int) -> list[dict]:
    """What a detector might find: boxes moved by `jitter` of their size, some missed, some made up, some twice, scores rounded to `scores` digits."""
    found = []
    for there in truth["annotations"]:
        for _ in range(rng.choice([1, 1, 1, 2])):
            if rng.random() < miss:
                continue
            x, y, w, h = there["bbox"]
            b = [x + w * rng.gauss(0, jitter), y + h * rng.gauss(0, jitter), w * (1 + rng.gauss(0, jitter)), h * (1 + rng.gauss(0, jitter))]
            kind = there["category_id"] if rng.random() < 0.9 else rng.choice(list(CATEGORIES))
            found.append((there["image_id"], kind, b))
    for _ in range(extra):
        found.append((rng.choice(truth["images"])["id"], rng.choice(list(CATEGORIES)), box(rng)))
    rng.shuffle(found)
    return [{"image_id": i, "category_id": c, "bbox": [round(v, 2) for v in b], "score": round(rng.random(), scores)} for i, c, b in found]


def main() -> None:
    rng = random.Random(20)
    OUT.mkdir(parents=True, exist_ok=True)
    truth = annotations(rng)
    (OUT / "annotations.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    scores = {}
    exact = [{"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5} for a in truth["annotations"]]
    for name, found in {
        "exact.json": exact,
        "good.json": results(rng, truth, 0.05, 0.1, 20, 6),
        "poor.json": results(rng, truth, 0.15, 0.4, 150, 6),
        # Many scores are equal.
        "coarse.json": results(rng, truth, 0.08, 0.2, 60, 1),
    }.items():
        (OUT / name).write_text(json.dumps(found, separators=(",", ":")) + "\n")
        with contextlib.redirect_stdout(io.StringIO()):
            there = COCO(str(OUT / "annotations.json"))
            job = COCOeval(there, there.loadRes(str(OUT / name)), "bbox")
            job.evaluate()
            job.accumulate()
            job.summarize()
        scores[name] = [float(v) for v in job.stats]
        print(name, " ".join(f"{v:.3f}" for v in job.stats))
    (OUT / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
