#!/usr/bin/env python3
"""bench_browser.py IN.mp4 OUT.mp4 FRAMES WORD...: captions the way that renderers with a browser do it.

A page in headless Chromium holds one element for each letter; for every frame they are moved and coloured, a picture of the
page is taken, and ffmpeg lays the pictures over the video. Needs playwright (Python), chromium and ffmpeg.
"""

import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

PAGE = """<body style="margin:0;width:1280px;height:720px;position:relative;background:transparent">
<div id="line" style="position:absolute;left:0;right:0;bottom:54px;text-align:center;font:36px NanumGothic,sans-serif;color:#fff;
text-shadow:0 0 2px #000,0 0 4px #000,0 0 8px #000"></div>
<script>
function fill(words) {
  for (const word of words) {
    for (const letter of word + "\\u00a0") {
      const span = document.createElement("span");
      span.textContent = letter;
      span.style.display = "inline-block";
      document.getElementById("line").append(span);
    }
  }
}
function show(time) {
  [...document.querySelectorAll("span")].forEach((span, n) => {
    const wave = Math.sin(time * 6 - n * 0.35);
    span.style.transform = `translateY(${-12 * wave}px)`;
    span.style.color = `rgb(255, ${Math.round(127 + 127 * wave)}, 77)`;
  });
}
</script>"""


def main():
    video, out, frames, *words = sys.argv[1:]
    frames = int(frames)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        sys.exit("chromium is missing")
    command = ["ffmpeg", "-v", "error", "-y", "-i", video, "-f", "image2pipe", "-framerate", "25", "-c:v", "png", "-i", "-", "-filter_complex",
               "[0:v][1:v]overlay=shortest=1", "-frames:v", str(frames), "-c:v", "libx264", "-preset", "veryfast", out]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_content(PAGE)
        page.evaluate("words => fill(words)", words)
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
        for frame in range(frames):
            page.evaluate("time => show(time)", frame / 25)
            encoder.stdin.write(page.screenshot(omit_background=True, type="png"))
        encoder.stdin.close()
        failed = encoder.wait(timeout=60)
        browser.close()
    sys.exit(failed)


main()
