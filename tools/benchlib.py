"""What the parts of bench.py share: running things and taking their time, rounds, and the table."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target/bench-venv"
ROUNDS = 1 if "--quick" in sys.argv else 5


@dataclasses.dataclass(frozen=True)
class Clip:
    name: str
    width: int
    height: int
    frames: int

    @property
    def bytes(self):
        """Of one frame of I420."""
        return self.width * self.height * 3 // 2


FACES = Clip("sample", 1280, 720, 430)
BODY = Clip("posture", 480, 600, 175)


class Unmeasured(Exception):
    """Why a figure is missing."""


def progress(text):
    print(f"  {text}", flush=True)


def run(command, **options):
    """Runs to the end; gives (wall s, CPU s, peak RSS in MB of the largest process, output).

    The peak counts this process too, as the child starts in its image: nothing here may hold whole clips.
    """
    environment = dict(os.environ, GST_PLUGIN_PATH=str(ROOT / "target/release"), **options.pop("env", {}))
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), cwd=options.get("cwd", ROOT), env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise Unmeasured(f"{command[0]} ended with {process.returncode}: {' / '.join(text.splitlines()[-3:])}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def decode(folder, clip, caps):
    path = folder / f"{clip.name}.{caps.lower()}"
    run(["gst-launch-1.0", "-q", "filesrc", f"location={ROOT / 'media' / clip.name}.mp4", "!", "decodebin", "!", "videoconvert",
         "!", f"video/x-raw,format={caps}", "!", "filesink", f"location={path}"])
    return path


def pipeline_cost(path, clip, analysis, cores):
    """(wall ms, CPU ms) a frame of `analysis` between a file with the raw frames of `clip` and a fakesink, measured once.

    The difference between the clip played three times and once, so that starting up and loading models do not count.
    """

    def play(times):
        source = ["filesrc", f"location={path}", f"blocksize={clip.bytes}", "!", "rawvideoparse",
                  f"width={clip.width}", f"height={clip.height}", "format=i420", "framerate=25/1", "!", "c."]
        return run(["taskset", "-c", cores, "gst-launch-1.0", "-q", "concat", "name=c", "!", *analysis,
                    "fakesink", "sync=false", *(source * times)])

    once, thrice = play(1), play(3)
    scale = 1000 / (2 * clip.frames)
    return (thrice[0] - once[0]) * scale, (thrice[1] - once[1]) * scale


def rounds(measure):
    """What `measure` gives in each round, and the round whose first value, a ratio, is the median.

    A round takes both sides of a comparison one right after the other: what else the machine does slows both, and a
    round that it spoils on one side only is not the median.
    """
    every = sorted(measure() for _ in range(ROUNDS))
    return every[len(every) // 2], every[0][0], every[-1][0]


def cargo_bench(bench, cores, **env):
    # --workspace: the same features, thus the same libraries, as the build before.
    command = [ROOT / "tools/cargo", "bench", "--quiet", "--profile", "release", "--workspace", "--bench", bench]
    run([*command, "--no-run"])
    return run(["taskset", "-c", cores, *command], env=env)[3]


class Table:
    def __init__(self):
        self.rows, self.missed = [], 0

    def add(self, what, measured, compared="", ratio="", target="", met=None):
        self.missed += met is False
        verdict = {True: "met", False: "**not met**", None: ""}[met]
        self.rows.append((what, measured, compared, ratio, target, verdict))

    def attempt(self, what, measure):
        """Adds what `measure` gives; a failure is a row too."""
        progress(what)
        try:
            self.add(what, *measure())
        except Unmeasured as reason:
            self.missed += 1
            self.rows.append((what, "not measured", str(reason).replace("|", "/")[:160], "", "", "**not met**"))

    def lines(self):
        head = ("what", "measured", "compared with", "ratio", "target", "")
        widths = [max(len(row[i]) for row in [head, *self.rows]) for i in range(len(head))]
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(head, widths)) + " |"
        yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        for row in self.rows:
            yield "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |"


def fps(ms):
    return f"{1000 / ms:.1f} frames/s"
