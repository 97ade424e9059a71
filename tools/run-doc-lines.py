#!/usr/bin/env python3
"""Runs every command line that the documentation shows: lines that start with gst-launch-1.0, gst-inspect-1.0 or
nunchi in the sh and console blocks of README.md and docs/, and in the doc comments of the elements.

Each runs in a scratch folder with media/ and pipelines/ in it, on the plugin and the launcher in target/release, for
at most 60 s. Nothing is skipped: what needs a camera or a screen is exchanged by the table below. Prints PASS or FAIL
for each line; ends with 1 when one failed or when there was none.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT_S = 60
COMMANDS = re.compile(r"(?:\$ )?((?:\w+=\S* )*(?:target/release/)?(?:gst-launch-1\.0|gst-inspect-1\.0|nunchi) .*)")
# What no test machine has, and what stands in for it.
SUBSTITUTES = [
    (r"\bv4l2src\b(?: +[\w-]+=[^\s!]+)*", "videotestsrc num-buffers=60"),
    (r"\b(?:auto|gl|xv|x|wayland)(?:video|image|)sink\b", "fakesink"),
    (r"\bautoaudiosrc\b", "audiotestsrc num-buffers=60"),
]


def substitute(text):
    for pattern, replacement in SUBSTITUTES:
        text = re.sub(pattern, replacement, text)
    return text


def commands(lines, languages):
    """Command lines inside the fenced blocks of Markdown, with continuation lines joined."""
    language, pending = None, ""
    for line in lines:
        fence = re.match(r"\s*```\s*(\w*)", line)
        if fence:
            language, pending = (fence[1] if language is None else None), ""
            continue
        if language not in languages:
            continue
        joined = pending + line.strip()
        if joined.endswith("\\"):
            pending = joined[:-1].rstrip() + " "
            continue
        pending = ""
        command = COMMANDS.fullmatch(joined)
        if command:
            yield command[1]


def documented():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "pipelines").rglob("*.md"))]
    for page in filter(pathlib.Path.exists, pages):
        yield from ((page, line) for line in commands(page.read_text().splitlines(), {"sh", "console", "bash", "shell"}))
    for source in sorted((ROOT / "plugins/nunchi/src").rglob("*.rs")):
        comments = [m[1] for m in re.finditer(r"^\s*//[!/] ?(.*)$", source.read_text(), re.M)]
        yield from ((source, line) for line in commands(comments, {"", "sh", "console", "text", "bash", "shell"}))


def scratch(folder):
    shutil.copytree(ROOT / "media", folder / "media")
    (folder / "tests").mkdir()
    (folder / "tests/media").symlink_to(ROOT / "tests/media")
    (folder / "target").mkdir()
    (folder / "target/release").symlink_to(ROOT / "target/release")
    if (ROOT / "pipelines").is_dir():
        shutil.copytree(ROOT / "pipelines", folder / "pipelines")
        for pipeline in (folder / "pipelines").glob("*.yaml"):
            # A parameter must be used, so it becomes the name; their sinks for a screen have a parameter that does without.
            text = re.sub(r"\bv4l2src device=(\S+)", r"videotestsrc num-buffers=60 name=\1", pipeline.read_text())
            text = text.replace("pulsesrc", "audiotestsrc num-buffers=60")
            pipeline.write_text(text)


def run(command, folder):
    """None when the command ended with 0, else what went wrong and the end of its output."""
    environment = dict(os.environ, GST_PLUGIN_PATH=str(ROOT / "target/release"), LC_ALL="C.UTF-8")
    environment["PATH"] = f"{ROOT / 'target/release'}:{environment['PATH']}"
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["bash", "-c", substitute(command)],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_S)
            problem = None if code == 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            problem = f"still running after {LIMIT_S} s"
        output.seek(0)
        text = output.read().decode(errors="replace").splitlines()
    # gst-launch ends with 0 although its pipeline never started.
    if problem is None and any(line.startswith("WARNING: erroneous pipeline") for line in text):
        problem = "erroneous pipeline"
    return problem and "\n".join([problem, *text[-15:]])


def main():
    counts = {"PASS": 0, "FAIL": 0}
    with tempfile.TemporaryDirectory(prefix="nunchi-docs-") as temporary:
        folder = pathlib.Path(temporary)
        scratch(folder)
        for page, command in documented():
            problem = run(command, folder)
            verdict = "FAIL" if problem else "PASS"
            counts[verdict] += 1
            print(f"{verdict} {page.relative_to(ROOT)}: {command}", flush=True)
            if problem:
                print("    " + problem.replace("\n", "\n    "), flush=True)
    print(f"{sum(counts.values())} command lines in the documentation, {counts['FAIL']} failed")
    return 1 if counts["FAIL"] or not counts["PASS"] else 0


sys.exit(main())
