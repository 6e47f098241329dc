"""Make the README's pictures: film the quickstart's progress bar in a real JupyterLab, and capture its result."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page

from lab import Notebook, chromium, chromium_path, jupyterlab, quickstart

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PICTURE = NOTEBOOKS / "quickstart.png"
FILM = NOTEBOOKS / "quickstart.gif"

BETWEEN_FRAMES = 0.25
"""Seconds, when filmed."""
SHOWN = 120
"""Milliseconds that a frame is shown; the last one stays for longer."""
LAST = 3000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = quickstart(Path(folder))
        with jupyterlab(Path(folder)) as lab, chromium(chromium_path() or "chromium") as browser:
            page = browser.new_page(viewport={"width": 1100, "height": 3200}, device_scale_factor=2)
            lab.show(page, file)
            notebook = Notebook(page, file)
            notebook.run_all()
            frames = film(page, notebook)
            while not notebook.has_run("status"):
                time.sleep(0.5)
            page.mouse.click(600, 3100)
            page.screenshot(path=PICTURE, clip=_between(notebook, "render", "picture"))
    # In true color, smooth gradients would make the file four times as large.
    Image.open(PICTURE).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    _save_film(frames)
    for made in (PICTURE, FILM):
        print(f"{made.name}: {made.stat().st_size // 1024} KB")


def film(page: Page, notebook: Notebook) -> list[Image.Image]:
    """Capture the cell that renders for as long as it runs."""
    notebook.outputs("render").locator("progress").first.wait_for(timeout=180_000)
    frames: list[Image.Image] = []
    while True:
        done = notebook.has_run("render")
        shot = page.screenshot(clip=_between(notebook, "render", "render"))
        frames.append(Image.open(io.BytesIO(shot)).convert("RGB"))
        if done:
            return frames
        time.sleep(BETWEEN_FRAMES)


def _between(notebook: Notebook, top: str, bottom: str) -> FloatRect:
    first, last = (notebook.cell(cell).bounding_box() for cell in (top, bottom))
    assert first is not None
    assert last is not None
    return {
        "x": first["x"],
        "y": first["y"],
        "width": first["width"],
        "height": last["y"] + last["height"] - first["y"],
    }


def _save_film(frames: Iterable[Image.Image]) -> None:
    images = list(frames)
    # The output grows by a line when the bar has two; all frames get the size of the largest.
    size = (max(image.width for image in images), max(image.height for image in images))
    canvas = [Image.new("RGB", size, "white") for _ in images]
    for sheet, image in zip(canvas, images, strict=True):
        sheet.paste(image)
    # One palette for all frames, or colors would flicker.
    palette = canvas[len(canvas) // 2].quantize(64, dither=Image.Dither.NONE)
    drawn = [sheet.quantize(palette=palette, dither=Image.Dither.NONE) for sheet in canvas]
    times = [SHOWN] * (len(drawn) - 1) + [LAST]
    drawn[0].save(FILM, save_all=True, append_images=drawn[1:], duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    main()
