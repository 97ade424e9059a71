"""The part of bench.py about captions: motiontextoverlay alone, in a transcode, against a browser and against libass."""

import json
import re
import sys

from benchlib import FACES, ROOT, VENV, Unmeasured, cargo_bench, fps, pipeline_cost, progress, rounds, run

CAPTIONS = ROOT / "plugins/nunchi/benches/captions"
FONTS = ROOT / "plugins/motiontext/tests/fonts"
PLAYWRIGHT = "1.56.0"
# A browser takes so long for a frame that fewer have to do.
BROWSER_FRAMES = 150
HOW = [
    "Captions are one line of eight words in Korean and English (`plugins/nunchi/benches/captions`), on one core. The element alone:",
    "frames of a pool are pushed into it, nothing else runs. A transcode is `media/sample.mp4` through decodebin, x264 (veryfast)",
    "and mp4mux with gst-launch, on all cores, as CPU time or frames by the clock. The browser draws the same words in headless Chromium, a page that moves one element per",
    f"letter, takes a picture of each of {BROWSER_FRAMES} frames (PNG with alpha), and ffmpeg lays them over the clip and encodes it the same way; it",
    "may use all cores. For libass ffmpeg lays the same words over the same raw frames by its filter `ass`, with a soft outline,",
    "in the moving case one event per letter and half second with \\move and \\t; both sides are CPU time less that of the",
    "same line without captions.",
]


def overlay(name):
    return ["motiontextoverlay", f"location={CAPTIONS}/{name}.json", f"fonts-dir={FONTS}", "!"]


def alone(core):
    """Frames per second of the element by name of the case, and their goals."""
    text = cargo_bench("motiontextoverlay", core)
    found = re.findall(r"^(\d+p, [a-z ]+?) +(\d+) frames/s(?: +[\d.]+ x the goal of (\d+))?", text, re.M)
    if not found:
        raise Unmeasured("the benchmark motiontextoverlay printed no figure")
    return {name: (float(rate), float(goal or 0)) for name, rate, goal in found}


def transcode(folder, captions):
    """(wall ms, CPU ms) a frame and peak MB, on all cores"""
    wall, cpu, peak, _ = run([
        "gst-launch-1.0", "-q", "filesrc", f"location={ROOT}/media/sample.mp4", "!", "decodebin", "!", *captions, "queue", "!",
        "x264enc", "speed-preset=veryfast", "!", "mp4mux", "!", "filesink", f"location={folder}/out.mp4",
    ])
    return wall * 1000 / FACES.frames, cpu * 1000 / FACES.frames, peak


def browser_python():
    venv = VENV / f"playwright-{PLAYWRIGHT}"
    if not (venv / "complete").exists():
        progress(f"installing playwright {PLAYWRIGHT} into {venv.relative_to(ROOT)}")
        run([sys.executable, "-m", "venv", venv])
        run([venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", f"playwright=={PLAYWRIGHT}"])
        (venv / "complete").touch()
    return venv / "bin/python"


def words():
    cue = json.loads((CAPTIONS / "moving.json").read_text())["cues"][0]
    return [child["text"] for child in cue["root"]["children"]]


def ass(moving):
    """The line as an ASS script, each letter for itself where it moves."""
    style = "{\\an2\\fs36\\bord1\\blur4\\1c&HFFFFFF&\\3c&H000000&}"
    events = []

    def event(start, end, text):
        stamp = [f"0:00:{second:05.2f}" for second in (start, end)]
        events.append(f"Dialogue: 0,{stamp[0]},{stamp[1]},Default,,0,0,0,,{text}")

    line = " ".join(words())
    if moving:
        for step in range(40):
            for index, letter in enumerate(line):
                if letter == " ":
                    continue
                x, (low, high) = 320 + index * 20, ((666, 654) if (step + index) % 2 else (654, 666))
                event(step / 2, step / 2 + 0.5, f"{{\\move({x},{low},{x},{high})\\t(\\1c&HFFA34D&)}}" + style + letter)
    else:
        event(0, 20, "{\\pos(640,666)}" + style + line)
    return "\n".join([
        "[Script Info]", "ScriptType: v4.00+", f"PlayResX: {FACES.width}", f"PlayResY: {FACES.height}", "", "[V4+ Styles]",
        "Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, Bold, Italic, Outline, Shadow, Alignment, MarginL, MarginR, MarginV",
        "Style: Default,Nunchi Hangul,36,&H00FFFFFF,&H00000000,&H00000000,0,0,1,0,2,0,0,0", "", "[Events]",
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text", *events, "",
    ])


def ffmpeg_cost(raw, filters, core):
    """CPU ms a frame of a filter between the raw frames and nowhere, with start-up."""
    size = f"{FACES.width}x{FACES.height}"
    command = ["taskset", "-c", core, "ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p",
               "-s", size, "-r", "25", "-i", raw, *filters, "-f", "null", "-"]
    return run(command)[1] * 1000 / FACES.frames


def measure(table, folder, raw, core):
    rates = {}

    def rate(name):
        if not rates:
            rates.update(alone(core))
        value, goal = rates[name]
        return (f"{value:.0f} frames/s", "", f"{value / goal:.1f}" if goal else "", f">= {goal:.0f} frames/s" if goal else "",
                value >= goal if goal else None)

    def against_plain_transcode():
        def round_():
            plain, captioned = (transcode(folder, part)[1] for part in ([], overlay("moving")))
            return captioned / plain - 1, captioned, plain

        (over, captioned, plain), least, most = rounds(round_)
        return (f"{captioned:.2f} ms CPU a frame", f"without captions, {plain:.2f} ms", f"{over:+.1%} ({least:+.1%} to {most:+.1%})", "<= 15 % slower",
                over <= 0.15)

    def memory():
        source = ["filesrc", f"location={raw}", f"blocksize={FACES.bytes}", "!", "rawvideoparse", f"width={FACES.width}", f"height={FACES.height}",
                  "format=i420", "framerate=25/1", "!"]
        peak = run(["gst-launch-1.0", "-q", *source, *overlay("moving"), "fakesink"])[2]
        return f"{peak:.0f} MB", "", f"{peak / 150:.2f}", "<= 150 MB", peak <= 150

    def transcode_memory():
        captioned, plain = (transcode(folder, part)[2] for part in (overlay("moving"), []))
        return f"{captioned:.0f} MB", f"without captions, {plain:.0f} MB"

    def against_browser():
        python = browser_python()

        def round_():
            wall = run([python, ROOT / "tools/bench_browser.py", ROOT / "media/sample.mp4", folder / "browser.mp4", BROWSER_FRAMES, *words()])[0]
            ours, browser = transcode(folder, overlay("moving"))[0], wall * 1000 / BROWSER_FRAMES
            return browser / ours, ours, browser

        (ratio, ours, browser), least, most = rounds(round_)
        return fps(ours), f"Chromium and ffmpeg, {fps(browser)}", f"{ratio:.1f} ({least:.1f} to {most:.1f})", ">= 10", ratio >= 10

    def against_libass(name, moving):
        script = folder / f"{name}.ass"
        script.write_text(ass(moving))

        def round_():
            empty, full = (pipeline_cost(raw, FACES, part, core)[1] for part in ([], overlay(name)))
            theirs = ffmpeg_cost(raw, ["-vf", f"ass={script}:fontsdir={FONTS}"], core) - ffmpeg_cost(raw, [], core)
            return (full - empty) / theirs, full - empty, theirs

        (ratio, ours, theirs), least, most = rounds(round_)
        return (f"{ours:.2f} ms CPU a frame", f"libass in ffmpeg, {theirs:.2f} ms", f"{ratio:.2f} ({least:.2f} to {most:.2f})", "<= 1", ratio <= 1)

    for name in ("720p, each letter", "720p, static", "1080p, each letter", "1080p, static"):
        table.attempt(f"motiontextoverlay alone, {name}", lambda: rate(name))
    table.attempt("transcode with captions, each letter", against_plain_transcode)
    table.attempt("captions in a pipeline without codecs, peak memory", memory)
    table.attempt("transcode with captions, peak memory", transcode_memory)
    table.attempt("transcode with captions against a browser's pictures", against_browser)
    table.attempt("captions, static, against libass", lambda: against_libass("static", False))
    table.attempt("captions, each letter, against libass", lambda: against_libass("moving", True))
