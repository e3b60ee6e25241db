#!/usr/bin/env bash
# AsyncSSH 2.24.1: drain() waits for the channel's window only, and not for the TCP connection below it.
#
# The server of this script writes 64 MiB and awaits drain() after each 64 KiB, as asyncio's documentation advises. Its
# client allows a window of 1 GiB, which RFC 4254 permits, and reads nothing from its socket. Expected: drain() waits once
# some hundred KiB are on their way. Seen: it never waits, and 60 of the 64 MiB lie in the server's memory. The reason:
# SSHConnection has no pause_writing of its own, so asyncio's word that the transport is full has no effect.
#
# Pushlog has its commands wait for the transport as well (gitreceiver/ssh/guard.py).
#
# Exits with 0 while this is so, with 1 once drain() waits.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet asyncssh==2.24.1 cryptography==50.0.2

cat >"$folder/drain.py" <<'PYTHON'
import asyncio
import sys

import asyncssh

PIECE, PIECES = 64 * 1024, 1024


class Server(asyncssh.SSHServer):
    def connection_made(self, connection):
        Server.transport = connection._transport

    def begin_auth(self, username):
        return False


async def write(process):
    for _ in range(PIECES):
        process.stdout.write(bytes(PIECE))
        await process.stdout.drain()
    written.set_result(Server.transport.get_write_buffer_size())


async def main():
    global written
    written = asyncio.get_running_loop().create_future()
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], process_factory=write, encoding=None
    )
    client = await asyncssh.connect("127.0.0.1", server.get_port(), username="x", known_hosts=None, config=None)
    process = await client.create_process("write", encoding=None, window=1 << 30, stdin=asyncssh.DEVNULL)
    client._transport.pause_reading()
    try:
        held = await asyncio.wait_for(written, 20)
    except TimeoutError:
        print("drain() waited: AsyncSSH holds at most", Server.transport.get_write_buffer_size() >> 10, "KiB")
        sys.exit(1)
    print("AsyncSSH", asyncssh.__version__, "wrote all without waiting;", held >> 20, "of 64 MiB lie in the server's memory")
    client.abort()
    sys.exit(held < 32 << 20)


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/drain.py"
