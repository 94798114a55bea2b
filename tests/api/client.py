# SPDX-License-Identifier: Apache-2.0
"""HTTP and websockets over a unix socket, by hand: tests send what no library would."""
import base64
import http.client
import json
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("stasis", timeout=timeout)
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix_path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def metadata(self):
        assert self.status < 300, (self.status, self.body)
        return self.json["metadata"]

    def error(self, status):
        """The error's text; the status and the envelope are checked."""
        assert self.status == status, (self.status, self.body)
        assert self.json["type"] == "error" and self.json["error_code"] == status, self.body
        return self.json["error"]


class Client:
    def __init__(self, path):
        self.path = path

    def request(self, method, target, body=None, headers=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection = Connection(self.path)
        try:
            connection.request(method, target, body, headers or {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, target):
        return self.request("GET", target)

    def connect(self):
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        raw.settimeout(20)
        raw.connect(self.path)
        return raw

    def raw(self, data, half_close=False):
        """All that comes back for some bytes until the other end closes."""
        with self.connect() as raw:
            raw.sendall(data)
            if half_close:
                raw.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                try:
                    piece = raw.recv(65536)
                except ConnectionResetError:
                    return got
                if not piece:
                    return got
                got += piece

    def wait(self, answer, timeout=20):
        """The operation of a 202 when it has ended."""
        assert answer.status == 202, (answer.status, answer.body)
        return self.get(answer.json["operation"] + f"/wait?timeout={timeout}").metadata

    def launch(self, name, **config):
        answer = self.request("POST", "/1.0/instances", {"name": name, "start": True, "config": config})
        assert self.wait(answer)["status"] == "Success", answer.body

    def exec(self, name, command, **more):
        body = {"command": command, "wait-for-websocket": True, **more}
        return Session(self, self.request("POST", f"/1.0/instances/{name}/exec", body))


class Websocket:
    def __init__(self, client, target):
        self.raw = client.connect()
        key = base64.b64encode(os.urandom(16)).decode()
        self.raw.sendall(
            f"GET {target} HTTP/1.1\r\nHost: s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.raw.recv(1)
            assert piece, head
            head += piece
        self.status = int(head.split()[1])
        self.head = head

    def send(self, opcode, data=b""):
        if isinstance(data, str):
            data = data.encode()
        mask = os.urandom(4)
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
        elif len(data) < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
        self.raw.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.raw.recv(n - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def recv(self):
        first, second = self.exactly(2)
        n = second & 127
        if n == 126:
            n, = struct.unpack("!H", self.exactly(2))
        elif n == 127:
            n, = struct.unpack("!Q", self.exactly(8))
        return first & 15, self.exactly(n)

    def read(self):
        """All binary data until the end of file."""
        data = bytearray()
        while True:
            opcode, piece = self.recv()
            if opcode != BINARY:
                assert (opcode, piece) == (TEXT, b"") or opcode == CLOSE, (opcode, piece)
                return bytes(data)
            data += piece

    def read_until(self, what):
        data = b""
        while what not in data:
            opcode, piece = self.recv()
            assert opcode == BINARY, (opcode, piece, data)
            data += piece
        return data

    def close(self):
        self.raw.close()


class Session:
    """The websockets of an exec or a console."""

    def __init__(self, client, answer):
        assert answer.status == 202, (answer.status, answer.body)
        self.client, self.answer = client, answer
        self.url = answer.json["operation"]
        self.fds = answer.metadata["metadata"]["fds"]

    def open(self, name):
        ws = Websocket(self.client, f"{self.url}/websocket?secret={self.fds[name]}")
        assert ws.status == 101, ws.head
        return ws

    def open_all(self, control=True):
        names = [n for n in self.fds if control or n != "control"]
        self.ws = {n: self.open(n) for n in names}
        return self.ws

    def end(self):
        operation = self.client.wait(self.answer)
        for ws in getattr(self, "ws", {}).values():
            ws.close()
        return operation
