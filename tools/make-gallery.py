#!/usr/bin/env python3
"""make-gallery.py: draws the strips of docs/motiontext.md with `nunchi motiontext frame`, one for each effect.

The scenarios go to docs/motiontext/, to be copied from and tried; the pictures to docs/images/motiontext/. Needs a built
target/release/nunchi and the font NanumGothic.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "docs/motiontext"
PICTURES = ROOT / "docs/images/motiontext"
LENGTH = 2.0
TIMES = [0.1, 0.45, 0.8, 1.15, 1.5, 1.9]
# Name of the effect: parameters.
EFFECTS = {
    "cwi-color": {"color": "#ffd400"},
    "cwi-bouncing": {},
    "cwi-loud": {},
    "cwi-whisper": {},
    "fadein": {},
    "slideup": {},
    "scalepop": {},
    "elastic": {},
    "rotation": {},
    "magnetic": {},
    "glitch": {},
    "fliptype": {},
    "typewriter": {"typingSpeed": 0.1},
    "glow": {"color": "#00ffff", "pulse": True},
    "flames": {},
    "spin": {"fullTurns": 1},
    "pulse": {"maxScale": 1.3, "cycles": 2},
    "bobY": {"amplitudePx": 14, "cycles": 2},
    "fadeIn": {},
    "fadeOut": {},
    "slideInLeft": {"distance": 60},
    "slideInUp": {"distance": 60},
    "slideOutRight": {"distance": 60},
    "scaleIn": {},
    "scaleOut": {},
    "pop": {},
    "waveX": {"amplitude": 20},
    "waveY": {"amplitude": 20},
    "shakeX": {"amplitudePx": 10},
    "bounce": {},
    "flip": {},
}


# These need room.
SMALL = {"cwi-loud", "spin"}


def scenario(effect, params):
    return {
        "version": "2.0",
        "timebase": {"unit": "seconds"},
        "stage": {"baseAspect": "auto"},
        "tracks": [{
            "id": "show", "type": "free", "layer": 1,
            "defaultStyle": {"fontFamily": "NanumGothic", "fontSizeRel": 0.14 if effect in SMALL else 0.26, "fontWeight": 700, "color": "#ffffff", "whiteSpace": "nowrap"},
        }],
        "cues": [{
            "id": "cue", "track": "show",
            "root": {
                "id": "text", "eType": "text", "text": "눈치 Nunchi", "displayTime": [0, LENGTH],
                "layout": {"position": {"x": 0.5, "y": 0.5}, "anchor": "cc"},
                "pluginChain": [{"name": effect, "params": params, "timeOffset": [0, 0]}],
            },
        }],
    }


def main():
    for folder in (SCENARIOS, PICTURES):
        folder.mkdir(parents=True, exist_ok=True)
    for number, (effect, params) in enumerate(EFFECTS.items(), 1):
        print(f"[{number}/{len(EFFECTS)}] {effect}", flush=True)
        # Of two names that differ in their case alone, some file systems keep one.
        name = f"builtin-{effect}" if effect in ("fadeIn",) else effect
        file = SCENARIOS / f"{name}.json"
        file.write_text(json.dumps(scenario(effect, params), ensure_ascii=False, indent=2) + "\n")
        command = [ROOT / "target/release/nunchi", "motiontext", "frame", file, PICTURES / f"{name}.png", "--at", *map(str, TIMES),
                   "--size", "240x100", "--background", "#1d2733", "--crop", "--columns", "6"]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode or done.stderr:
            sys.exit(done.stderr or f"{effect}: ended with {done.returncode}")


main()
