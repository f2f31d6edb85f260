"""Sessions of the app without a browser: Streamlit's own messages over its websocket, timers of fragments included.

A page in a browser takes a quarter of a core while it draws. These sessions cost the server what a browser costs it,
and the machine next to nothing: what is measured beside them is the app, not the browsers of its users.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from driving import Server
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect

TEXTS = {
    "alert": "body",
    "code": "code_text",
    "exception": "message",
    "heading": "body",
    "markdown": "body",
    "page_link": "label",
    "progress": "text",
}
CHART = "bidi_component"
FIGURE = "plotly_chart"
BOXES = ("text_area", "text_input")

Place = tuple[int, ...]


@dataclass
class Visitor:
    """One session. `shown` is kind and text of each element of its page, by place; `updates` counts script runs,
    `pages` those of them that drew the whole page."""

    query: str = ""
    page: str = ""
    shown: dict[Place, tuple[str, str]] = field(default_factory=dict)
    updates: int = 0
    pages: int = 0
    lost: str = ""
    _hash: str = ""
    _buttons: dict[str, str] = field(default_factory=dict)
    _boxes: dict[str, str] = field(default_factory=dict)
    _socket: ClientConnection | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _drawn: dict[Place, tuple[str, str]] = field(default_factory=dict)
    _timers: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)
    _polled: set[str] = field(default_factory=set)

    def words(self) -> str:
        """All text on the page."""
        return "\n".join(text for _, text in list(self.shown.values()))

    def complaints(self, kinds: Sequence[str] = ("error", "warning", "exception")) -> list[str]:
        """The errors and warnings on the page, and why the session ended if it did."""
        said = [text for kind, text in list(self.shown.values()) if kind in kinds]
        return said + [self.lost] * bool(self.lost)

    def last_epochs(self) -> set[int]:
        """The last epoch of each curve on the page."""
        charts = [json.loads(text)["charts"] for kind, text in list(self.shown.values()) if kind == CHART]
        return {curve["x"][-1] for drawn in charts for chart in drawn for curve in chart["curves"] if curve["x"]}

    def figures(self) -> list[dict[str, Any]]:
        """The figures on the page, as Plotly has them."""
        return [json.loads(text) for kind, text in list(self.shown.values()) if kind == FIGURE]

    def offers(self, label: str) -> bool:
        """Whether a button of this label was drawn."""
        return label in self._buttons

    def press(self, label: str) -> None:
        """Press a button that is on the page."""
        self._send(WidgetState(id=self._buttons[label], trigger_value=True))

    def write(self, label: str, text: str) -> None:
        """Put a text into a box that is on the page, in place of what it holds."""
        self._send(WidgetState(id=self._boxes[label], string_value=text))

    def look_late(self) -> int:
        """Let every timer that was on the page go off once more; how many there were."""
        assert self._socket
        assert self._loop
        for fragment in self._polled:
            asyncio.run_coroutine_threadsafe(self._ask(self._socket, fragment), self._loop).result(30)
        return len(self._polled)

    def _send(self, change: WidgetState) -> None:
        assert self._socket
        assert self._loop
        asyncio.run_coroutine_threadsafe(self._ask(self._socket, change=change), self._loop).result(30)

    async def stay(self, url: str) -> None:
        """Open the page and keep it open until this task is cancelled."""
        address = url.replace("http://", "ws://") + "/_stcore/stream"
        try:
            async with connect(address, subprotocols=["streamlit"], max_size=None) as socket:
                self._socket, self._loop = socket, asyncio.get_running_loop()
                await self._ask(socket)
                async for data in socket:
                    self._take(socket, ForwardMsg.FromString(data))
                self.lost = f"the server closed the connection: {socket.close_code} {socket.close_reason}"
        except OSError as error:
            self.lost = str(error)
        finally:
            self._end_timers()

    async def _ask(self, socket: ClientConnection, fragment: str = "", change: WidgetState | None = None) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name, state.page_script_hash = self.query, self.page, self._hash
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        if change:
            state.widget_states.widgets.append(change)
        await socket.send(message.SerializeToString())

    def _take(self, socket: ClientConnection, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._drawn = {}
            if not message.metadata.run.fragment_ids:
                self._end_timers()
        elif kind == "navigation":
            self._hash = message.navigation.page_script_hash
        elif kind == "auto_rerun":
            self._poll(socket, message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "delta":
            self._draw(message)
        elif kind == "script_finished":
            self._finish(message.script_finished)

    def _draw(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if message.delta.WhichOneof("type") != "new_element" or kind is None:
            return
        if kind == "button":
            self._buttons[element.button.label] = element.button.id
        if kind in BOXES:
            self._boxes[getattr(element, kind).label] = getattr(element, kind).id
        text = element.bidi_component.json if kind == CHART else element.plotly_chart.spec if kind == FIGURE else ""
        if kind in TEXTS:
            text = getattr(getattr(element, kind), TEXTS[kind])
        if kind == "alert":
            kind = Alert.Format.Name(element.alert.format).lower()
        self._drawn[tuple(message.metadata.delta_path)] = (kind, text)

    def _finish(self, status: int) -> None:
        if status == ForwardMsg.FINISHED_SUCCESSFULLY:
            self.shown = self._drawn
            self.pages += 1
        elif status == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self.shown = self.shown | self._drawn
        self.updates += 1

    def _poll(self, socket: ClientConnection, fragment: str, seconds: float) -> None:
        async def poll() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._ask(socket, fragment)

        self._polled.add(fragment)
        if fragment in self._timers:
            self._timers[fragment].cancel()
        self._timers[fragment] = asyncio.create_task(poll())

    def _end_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


@contextlib.contextmanager
def visiting(server: Server, visitors: Sequence[Visitor]) -> Iterator[None]:
    """Keep these sessions open until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stays = [asyncio.run_coroutine_threadsafe(visitor.stay(server.url), loop) for visitor in visitors]
    try:
        yield
    finally:
        for stay in stays:
            stay.cancel()
        asyncio.run_coroutine_threadsafe(_settled(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _settled() -> None:
    """Wait until every other task of this loop has ended."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*others, return_exceptions=True)
