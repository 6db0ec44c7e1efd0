"""What identifies the content of an open run, for results that are cached in a session."""

from __future__ import annotations

import hashlib
import json

from app.state import OpenRun


def run_key(opened: OpenRun) -> str:
    """The folder, and a hash of its manifest: another fit in the same folder is another run."""
    said = json.dumps(opened.manifest, sort_keys=True, default=str)
    return f"{opened.path} {hashlib.sha256(said.encode()).hexdigest()[:16]}"
