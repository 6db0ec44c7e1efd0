"""The script that the page of the dashboard carries beside Streamlit's own: loading early, and the keyboard.

Loading: parts of Streamlit that pages with charts are drawn with are loaded once the first page stands and the browser
is idle. Earlier would be too early: the first page needs the browser and the processor for itself.

Keyboard: what opens above the page (a list of files, a choice of persons) stands last in the document, far from the
button that opens it. Opened by key, it takes the focus; Escape and leaving it give the focus back to the button. In a
table, Tab leaves the table (arrows move inside it), or nobody would get out again.
"""

from __future__ import annotations

from collections.abc import Iterable

_LOADING = """
const later = [%s];
const app = state => document.querySelector(`[data-testid="stApp"][data-test-script-state="${state}"]`);
const until = (ready, then) => ready() ? then() : setTimeout(until, 30, ready, then);
const idle = window.requestIdleCallback ?? (work => setTimeout(work, 200));
const next = () => idle(() => later.length && import(later.shift()).then(next, next));
until(() => app("running"), () => until(() => app("notRunning")?.querySelector("h2"), next));
"""
_KEYBOARD = """
const inside = body => [...body.querySelectorAll("button, a[href], input, summary, textarea, [tabindex='0']")]
  .filter(part => !part.disabled && part.tabIndex >= 0 && part.getClientRects().length);
let opener = null;
const enter = tries => {
  const body = document.querySelector('[data-testid="stPopoverBody"]');
  const part = body && (inside(body)[0] ?? (tries ? null : body));
  if (part === body && body) body.tabIndex = -1;
  if (part) part.focus();
  else if (tries) setTimeout(enter, 40, tries - 1);
};
document.addEventListener("keydown", event => {
  const button = event.target.closest('[data-testid="stPopoverButton"]');
  if (button && [" ", "Enter"].includes(event.key) && button.getAttribute("aria-expanded") !== "true") {
    opener = button;
    setTimeout(enter, 40, 25);
  }
  if (event.key === "Tab" && event.target.closest('[data-testid="stDataFrame"]')) event.stopPropagation();
  const body = event.target.closest('[data-testid="stPopoverBody"]');
  if (!body || !opener?.isConnected) return;
  const parts = inside(body);
  if (event.key === "Escape" && event.target.getAttribute("aria-expanded") !== "true")
    setTimeout(() => opener.focus());
  else if (event.key === "Tab" && event.shiftKey && event.target === (parts[0] ?? body)) {
    event.preventDefault();
    opener.focus();
  } else if (event.key === "Tab" && !event.shiftKey && event.target === (parts.at(-1) ?? body)) opener.focus();
}, true);
"""


def page_script(later: Iterable[str]) -> str:
    """The script as an element of the page.

    Args:
        later: addresses of scripts to load when nothing else is to be done.
    """
    names = ", ".join(f'"{name}"' for name in later)
    return f'<script type="module">{_LOADING % names}{_KEYBOARD}</script>\n'
