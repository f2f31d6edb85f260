"""Whether anybody answers at a web address, told within seconds whatever is there."""

import queue
import re
import threading
import urllib.error
import urllib.request
from http.client import HTTPException, InvalidURL, responses

from tfbind.files import words

SECONDS = 5.0
PROXY_ASKS = 407  # for a password


def trouble(url: str, seconds: float = SECONDS) -> str:
    """Why nobody answers at an address within so many seconds, "" if somebody does, if only to refuse."""
    if not re.match(r"https?://", url):
        return "no web address; expected one such as https://api.wandb.ai"
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    # The limit of a request is for each of its steps, the name not among them: one byte a second would take minutes.
    threading.Thread(target=lambda: told.put(_ask(url, 2 * seconds)), daemon=True).start()
    try:
        return told.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} s"


def _ask(url: str, seconds: float) -> str:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds):  # http or https, as checked  # nosec B310
            return ""
    except urllib.error.HTTPError as error:
        down = error.code >= 500 or error.code == PROXY_ASKS
        return f"the answer is {error.code} {responses.get(error.code, '')}" if down else ""
    except (OSError, ValueError, InvalidURL) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return words(reason if isinstance(reason, Exception) else Exception(reason))
    except HTTPException:
        return "the answer is not that of a web server"  # and may hold anything
