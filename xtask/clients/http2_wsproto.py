"""A WebSocket over cleartext HTTP/2 (RFC 8441) by h2 and wsproto, on a plain blocking socket.

python http2_wsproto.py HOST PORT
"""

import os
import signal
import socket
import sys
import traceback

import h2.config
import h2.connection
import h2.events
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

DEADLINE_SECONDS = 60


class Http2Session:
    """An HTTP/2 connection with prior knowledge and, at a time, one stream that is a WebSocket."""

    def __init__(self, host, port):
        self.authority = f"{host}:{port}"
        self.tcp = socket.create_connection((host, port))
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.tcp.sendall(self.h2.data_to_send())

    def read_events(self):
        """Blocks until the server sends something; gives the window back for whatever data came."""
        received = self.tcp.recv(65536)
        assert received, "the server ended the connection"
        events = self.h2.receive_data(received)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return events

    def await_settings(self):
        while not any(isinstance(event, h2.events.RemoteSettingsChanged) for event in self.read_events()):
            pass
        return self.h2.remote_settings

    def close(self):
        self.h2.close_connection()
        self.flush()
        self.tcp.close()


class WebSocket:
    """One stream of the session: h2 carries it, wsproto speaks on it."""

    def __init__(self, session, path, headers=None, behind=b""):
        """Asks for a socket and waits for the answer; `behind` goes out right after the request."""
        self.session = session
        self.frames = Connection(ConnectionType.CLIENT)
        self.headers = None
        self.ended = False
        self.reset = None
        self.stream_id = session.h2.get_next_available_stream_id()
        session.h2.send_headers(
            self.stream_id,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", session.authority),
                (":path", path),
                *({"sec-websocket-version": "13"} | (headers or {})).items(),
            ],
        )
        session.h2.send_data(self.stream_id, behind)
        session.flush()
        while self.headers is None:
            self.pump()

    def send(self, event):
        """Sends a frame in as many DATA frames as the windows allow, reading while they allow none."""
        data = self.frames.send(event)
        while data:
            window = self.session.h2.local_flow_control_window(self.stream_id)
            size = min(window, self.session.h2.max_outbound_frame_size, len(data))
            if size == 0:
                self.pump()
                continue
            self.session.h2.send_data(self.stream_id, data[:size])
            self.session.flush()
            data = data[size:]

    def receive(self):
        """The next event; the pieces of a message are put together."""
        pieces = []
        while True:
            for event in self.frames.events():
                if not isinstance(event, Message):
                    assert not pieces or isinstance(event, (Ping, Pong)), f"{event} within a message"
                    return event
                pieces.append(event.data)
                if event.message_finished:
                    return type(event)(data=type(event.data)().join(pieces))
            self.pump()

    def end(self):
        """Waits for the server to end its side of the stream, then ends ours."""
        while not self.ended:
            self.pump()
        assert self.reset is None, f"the server reset the stream: {self.reset!r}"
        self.session.h2.end_stream(self.stream_id)
        self.session.flush()

    def pump(self):
        """Takes what the server sends next."""
        assert not self.ended, f"the server ended the stream: {self.reset!r}"
        for event in self.session.read_events():
            # A proxy may end the stream before this one late.
            if getattr(event, "stream_id", self.stream_id) != self.stream_id:
                continue
            match event:
                case h2.events.ResponseReceived():
                    self.headers = dict(event.headers)
                case h2.events.DataReceived() if event.data:
                    self.frames.receive_data(event.data)
                case h2.events.StreamEnded():
                    self.ended = True
                case h2.events.StreamReset():
                    self.ended, self.reset = True, event.error_code
                case h2.events.ConnectionTerminated():
                    raise AssertionError(f"the server sent GOAWAY: {event.error_code!r}")


def enables_extended_connect(session):
    assert session.await_settings().enable_connect_protocol == 1


def opens(session):
    ws = WebSocket(session, "/ws")
    assert ws.headers[":status"] == "200", ws.headers
    assert "connection" not in ws.headers and "upgrade" not in ws.headers, ws.headers
    return ws


def echoes_text(ws):
    text = TextMessage(data="Grüße, 世界 🚢")
    ws.send(text)
    assert ws.receive() == text


def echoes_binary(ws):
    data = BytesMessage(data=bytes(range(256)))
    ws.send(data)
    assert ws.receive() == data


def echoes_a_fragmented_message(ws):
    *first, last = ["Grüße, ", "", "世界 ", "🚢"]
    for piece in first:
        ws.send(TextMessage(data=piece, message_finished=False))
    ws.send(TextMessage(data=last))
    assert ws.receive() == TextMessage(data="Grüße, 世界 🚢")


def answers_a_ping(ws):
    ws.send(Ping(payload=b"are you there?"))
    assert ws.receive() == Pong(payload=b"are you there?")


def echoes_more_than_a_window(ws):
    data = BytesMessage(data=os.urandom(100_000))  # HTTP/2's windows start with 65 535 bytes
    ws.send(data)
    assert ws.receive() == data


def closes(ws):
    ws.send(CloseConnection(code=1000, reason="done"))
    answer = ws.receive()
    assert isinstance(answer, CloseConnection) and answer.code == 1000, answer
    assert ws.frames.state is ConnectionState.CLOSED, ws.frames.state


def ends_the_stream(ws):
    ws.end()


def opens_another_on_the_same_connection(session):
    ws = opens(session)
    echoes_text(ws)
    closes(ws)


def run(check, *parameters):
    result = check(*parameters)
    print(f"ok     {check.__name__.replace('_', ' ')}", flush=True)
    return result


def give_up(_signal, _frame):
    raise TimeoutError(f"not done within the {DEADLINE_SECONDS} s that all checks have together")


def echoes(session):
    """All that a socket has to do, up to the closing handshake."""
    run(enables_extended_connect, session)
    ws = run(opens, session)
    run(echoes_text, ws)
    run(echoes_binary, ws)
    run(echoes_a_fragmented_message, ws)
    run(answers_a_ping, ws)
    run(echoes_more_than_a_window, ws)
    run(closes, ws)
    return ws


def limit_time():
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(DEADLINE_SECONDS)


def main(host, port):
    limit_time()
    session = Http2Session(host, int(port))
    run(ends_the_stream, echoes(session))
    run(opens_another_on_the_same_connection, session)
    session.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} HOST PORT")
    try:
        main(*sys.argv[1:])
    except Exception:
        traceback.print_exc()
        sys.exit("FAILED")
