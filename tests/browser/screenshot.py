"""Make the README picture from the real thing: run the quickstart in JupyterLab and photograph it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from PIL import Image

from lab import Notebook, chromium, chromium_path, jupyterlab, quickstart

PICTURE = Path(__file__).parents[2] / "notebooks" / "quickstart.png"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = quickstart(Path(folder))
        with jupyterlab(Path(folder)) as address, chromium(chromium_path() or "chromium") as browser:
            page = browser.new_page(viewport={"width": 1100, "height": 3200}, device_scale_factor=2)
            notebook = Notebook(page, address, file)
            notebook.run_all()
            while not notebook.has_run("status"):
                time.sleep(0.5)
            page.mouse.click(600, 3100)
            page.screenshot(path=PICTURE, clip=_frame(notebook))
    # Smooth gradients in true colour would make the file four times as large.
    Image.open(PICTURE).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size // 1024} KB")


def _frame(notebook: Notebook) -> dict[str, float]:
    first, last = (notebook.cell(cell).bounding_box() for cell in ("render", "picture"))
    assert first is not None
    assert last is not None
    return {
        "x": first["x"],
        "y": first["y"],
        "width": first["width"],
        "height": last["y"] + last["height"] - first["y"],
    }


if __name__ == "__main__":
    main()
