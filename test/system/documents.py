"""Documents of a store behind the runtime's back: what an older program left there, what a thief reads.

Only while no director runs (the embedded store), or through the server (MongoDB's protocol).
"""
import contextlib
import re
import socket
import sqlite3
import struct

import bson

OP_MSG = 2013


class Embedded:
    """The file of the embedded store."""

    def __init__(self, runtime):
        self.path = runtime.state / "mozaiks.db"

    @contextlib.contextmanager
    def _open(self):
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def _rows(self, connection, collection):
        return connection.execute(
            "SELECT d.rid, d.doc FROM doc d JOIN collection c ON c.cid = d.cid WHERE c.name = ?",
            (collection,)).fetchall()

    def find(self, collection):
        with self._open() as connection:
            return [bson.BSON(doc).decode() for _, doc in self._rows(connection, collection)]

    def change(self, collection, function):
        """Replaces each document by function(document); its keys in indexes are as if it had none."""
        with self._open() as connection:
            for rid, doc in self._rows(connection, collection):
                document = bson.BSON(doc).decode()
                function(document)
                connection.execute("DELETE FROM key WHERE rid = ?", (rid,))
                connection.execute("UPDATE doc SET doc = ? WHERE rid = ?",
                                   (bson.BSON.encode(document), rid))


class Server:
    """A MongoDB server, spoken to with its own protocol."""

    def __init__(self, uri):
        host, port, name = re.match(r"mongodb://([^:/]+):(\d+)/([^?]*)", uri).groups()
        self.address, self.database = (host, int(port)), name or "mozaiks"

    def command(self, command):
        body = bson.BSON.encode({**command, "$db": self.database})
        message = struct.pack("<iB", 0, 0) + body
        with socket.create_connection(self.address, 10) as connection:
            connection.sendall(struct.pack("<iiii", 16 + len(message), 1, 0, OP_MSG) + message)
            reader = connection.makefile("rb")
            length = struct.unpack("<i", reader.read(4))[0]
            reply = bson.BSON(reader.read(length - 4)[12 + 5:]).decode()
        assert reply.get("ok") == 1, reply
        return reply

    def find(self, collection):
        return self.command({"find": collection, "batchSize": 1000})["cursor"]["firstBatch"]

    def change(self, collection, function):
        for document in self.find(collection):
            function(document)
            self.command({"update": collection, "updates": [
                {"q": {"_id": document["_id"]}, "u": document}]})


def of(runtime, store):
    return Server(store) if store else Embedded(runtime)
