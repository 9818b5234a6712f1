"""A peer that vanishes without FIN or RST: the server notices by its keep-alive, and not before.

Run by `cargo xtask half-open` inside of a network namespace of its own. The client lives in a second one; between them is
a virtual cable, which is cut.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
INTERVAL, TIMEOUT = 1.0, 1.0
ESTABLISHED = "01"


def main(program):
    run("ip", "link", "set", "lo", "up")
    with process("unshare", "--net", "sleep", "60") as other:
        other_net = Path(f"/proc/{other.pid}/ns/net")
        wait(lambda: os.readlink(other_net) != os.readlink("/proc/self/ns/net"), 5)
        there = ["nsenter", f"--net={other_net}"]
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(other.pid))
        run("ip", "address", "add", f"{SERVER}/24", "dev", "near")
        run("ip", "link", "set", "near", "up")
        run(*there, "ip", "address", "add", f"{CLIENT}/24", "dev", "far")
        run(*there, "ip", "link", "set", "far", "up")

        options = ["--listen", f"{SERVER}:0", "--keep-alive", "1s", "--keep-alive-timeout", "1s"]
        with process(program, *options) as server:
            port = server.stdout.readline().strip().rpartition(":")[2]
            with process(*there, sys.executable, __file__, "client", port) as client:
                assert client.stdout.readline() == "open\n"
                # It answers pings all the while.
                time.sleep(5 * INTERVAL)
                assert established(port) == 1, "a living peer was given up"

                run(*there, "ip", "link", "set", "far", "down")
                cut = time.monotonic()
                wait(lambda: established(port) == 0, 5 * (INTERVAL + TIMEOUT))
                print(f"noticed {time.monotonic() - cut:.1f} s after the cut")


def client(port):
    """Opens a socket and answers pings for as long as it may."""
    with socket.create_connection((SERVER, int(port))) as connection:
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        stream = connection.makefile("rb")
        assert b" 101 " in stream.readline()
        while stream.readline() != b"\r\n":
            pass
        print("open", flush=True)
        while True:
            first, length = stream.read(2)
            payload = stream.read(length)
            assert first == 0x89, f"{first:#x} is no ping"
            # The mask is zero, so the payload stays as it is.
            connection.sendall(bytes([0x8A, 0x80 | length, 0, 0, 0, 0]) + payload)


def established(port):
    """How many connections of the server the kernel holds for alive."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    local = f":{int(port):04X}"
    return sum(row[1].endswith(local) and row[3] == ESTABLISHED for row in rows)


def wait(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


class process:
    """A process that ends with the block."""

    def __init__(self, *command):
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self.child

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def run(*command):
    subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1] == "client":
        client(sys.argv[2])
    else:
        main(sys.argv[1])
