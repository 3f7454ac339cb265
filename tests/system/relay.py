# SPDX-License-Identifier: ISC
"""relay - between us and a Redis: sees each command on its way, and breaks the connection when a test wants."""
import os
import socket
import threading


def is_path(where):
    return isinstance(where, str)


def whole_commands(data):
    """What stands at the beginning of `data`: [command, ...], and the rest, which may be half of one."""
    commands, at = [], 0
    while end := command_end(data, at):
        commands.append(data[at:end])
        at = end
    return commands, data[at:]


def command_end(data, at):
    """Behind the command that begins at `at`; None when it is not whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    assert data[at:at + 1] == b"*", f"no command of RESP: {data[at:line]}"
    count, at = int(data[at + 1:line]), line + 2
    for _ in range(count):
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        at = line + 2 + int(data[at + 1:line]) + 2
    return at if at <= len(data) else None


class Relay:
    """
    Listens and connects at the path of a socket or at (address, port). `cut(way, data)` is asked before something
    goes on: of each whole command on its way "to" Redis, and of what comes "from" it as it comes. True: the
    connection is broken instead, once.
    """

    def __init__(self, where, target, cut=lambda way, data: False):
        self.where = where
        self.target = target
        self.cut = cut
        self.was_cut = False
        self.listener = socket.socket(socket.AF_UNIX if is_path(where) else socket.AF_INET)
        self.listener.bind(where)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def replies(self, data):
        """What is passed on of what Redis says."""
        return data

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX if is_path(self.target) else socket.AF_INET)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            for run, ends in ((self._to_redis, (client, server)), (self._from_redis, (server, client))):
                threading.Thread(target=self._copy, args=(run, *ends), daemon=True).start()

    def _copy(self, run, source, sink):
        try:
            run(source, sink)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _is_cut(self, way, data):
        if self.was_cut or not self.cut(way, data):
            return False
        self.was_cut = True
        return True

    def _to_redis(self, source, sink):
        rest = b""
        while data := source.recv(65536):
            commands, rest = whole_commands(rest + data)
            for command in commands:
                if self._is_cut("to", command):
                    return
                sink.sendall(command)

    def _from_redis(self, source, sink):
        while data := source.recv(65536):
            if self._is_cut("from", data):
                return
            sink.sendall(self.replies(data))


def socket_in(folder):
    return os.path.join(str(folder), "relay.sock")
