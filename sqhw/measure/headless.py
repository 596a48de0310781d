"""A page in a Chromium without screen and network: what it says, and its picture."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from ..tools.tools import ToolError

__all__ = ["chromium", "headless", "screenshot"]

_HEADLESS = (
    *("--headless", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"),
    *("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
)
"""No sandbox, since root has none; the page is the project's own. No name leads anywhere."""
_LIMIT_SECONDS = 120


def chromium() -> str:
    """Path of a Chromium; raises ToolError if there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise ToolError(
            "chromium is needed to show the page, but it is not on PATH: apt-get install chromium"
        )
    return path


def headless(html: Path, *options: str, view: str = "") -> subprocess.CompletedProcess[str]:
    """Opens the page in Chromium without screen and network; `view` is what follows # in its address.

    Returns what the browser wrote; its log, with every message of the page's console, is on standard error.
    Raises ToolError if there is no Chromium, or if it fails.
    """
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium(), *_HEADLESS, f"--user-data-dir={profile}", *options, f"{html.as_uri()}#{view}"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    if run.returncode:
        raise ToolError(f"chromium failed: {' '.join(run.stderr.strip().splitlines()[-1:])}")
    return run


def screenshot(html: Path, picture: Path) -> Path:
    """Photographs the page; returns the picture's path. Raises ToolError as :func:`headless`."""
    headless(html, "--window-size=1000,860", f"--screenshot={picture}")
    return picture
