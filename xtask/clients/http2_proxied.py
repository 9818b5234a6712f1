"""WebSockets over HTTP/2 (RFC 8441) through a proxy.

python http2_proxied.py HOST PORT echoes|smuggles|stays|is_cut
"""

import sys
import time
import traceback
from itertools import product

from wsproto.events import Ping

from http2_wsproto import Http2Session, WebSocket, echoes, echoes_text, limit_time, opens_another_on_the_same_connection, run

# Longer than the proxy lets a silent socket be.
SILENT_SECONDS = 5

# Handshakes that the server refuses, and requests for what is no socket.
REFUSED = {
    "another version": ("/ws", {"sec-websocket-version": "12"}),
    "a foreign page": ("/ws", {"origin": "http://evil.example"}),
    "a page, not a socket": ("/", {}),
    "nothing at all": ("/nothing", {}),
}
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: smuggled\r\n\r\n"


def echoes_as_it_should(session):
    echoes(session)
    run(opens_another_on_the_same_connection, session)


def smuggles(session):
    session.await_settings()
    for (name, (path, headers)), at_once in product(REFUSED.items(), [True, False]):
        ws = WebSocket(session, path, headers, behind=SMUGGLED if at_once else b"")
        print(f"{name + ':':<24}{ws.headers[':status']}", flush=True)
        # A page that a proxy asked for by GET comes with a 200, as a socket does.
        assert ws.headers[":status"] != "200" or path == "/", ws.headers
        if not ws.ended:
            session.h2.send_data(ws.stream_id, SMUGGLED, end_stream=True)
            session.flush()
        while not ws.ended:
            ws.pump()
    run(opens_another_on_the_same_connection, session)


def stays(session):
    session.await_settings()
    ws = WebSocket(session, "/ws")
    until = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < until:
        event = ws.receive()
        assert isinstance(event, Ping), event
        ws.send(event.response())
    run(echoes_text, ws)
    print(f"open after {SILENT_SECONDS} s", flush=True)


def is_cut(session):
    session.await_settings()
    ws = WebSocket(session, "/ws")
    opened = time.monotonic()
    while not ws.ended:
        ws.pump()
    print(f"cut off after {time.monotonic() - opened:.1f} s", flush=True)


CHECKS = {"echoes": echoes_as_it_should, "smuggles": smuggles, "stays": stays, "is_cut": is_cut}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in CHECKS:
        sys.exit(f"usage: {sys.argv[0]} HOST PORT {'|'.join(CHECKS)}")
    limit_time()
    try:
        CHECKS[sys.argv[3]](Http2Session(sys.argv[1], int(sys.argv[2])))
    except Exception:
        traceback.print_exc()
        sys.exit("FAILED")
