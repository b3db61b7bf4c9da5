"""Starting and stopping: nothing is left behind."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from simulator.camera import CameraSpec
from simulator.errors import ListenError
from simulator.footage import Footage
from simulator.server import RtspServer
from simulator.thread import ServerThread
from tests.simulator.raw import RawClient


def open_sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:  # the one that lists the folder
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def test_stop_is_quick_whatever_clients_are_connected(heavy_footage: Footage) -> None:
    before, threads = open_sockets(), threading.active_count()
    server = ServerThread([CameraSpec("cam-01", heavy_footage)])
    server.start()
    clients = [RawClient(server.port, receive_buffer_bytes=8192) for _ in range(6)]
    for client in clients[:2]:
        client.play("cam-01")
    clients[2].setup("cam-01", "RTP/AVP;unicast;client_port=9998-9999")
    clients[2].play("cam-01")
    clients[3].setup("cam-01")
    clients[4].socket.sendall(b"PLAY rtsp://")
    while not server.statistics().cameras["cam-01"].frames_dropped:
        clients[0].ask("GET_PARAMETER", "cam-01")
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 1.0
    for client in clients:
        client.wait_closed()
        client.socket.close()
    assert open_sockets() == before
    assert threading.active_count() == threads
    server.stop()


def test_server_leaves_no_task_and_no_socket_in_its_loop(h264_footage: Footage) -> None:
    async def serve_once() -> None:
        server = RtspServer([CameraSpec("cam-01", h264_footage)])
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"SETUP " + server.url("cam-01").encode() + b"/video RTSP/1.0\r\nCSeq: 1\r\n")
        writer.write(b"Transport: RTP/AVP;unicast;client_port=9998-9999\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        session = answer.partition(b"Session: ")[2][:16]
        writer.write(b"PLAY " + server.url("cam-01").encode() + b" RTSP/1.0\r\nCSeq: 2\r\nSession: " + session)
        writer.write(b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"RTSP/1.0 200")
        assert server.statistics().playing == 1
        await server.stop()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert server.statistics().connections == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = open_sockets()
    asyncio.run(serve_once())
    assert open_sockets() == before


def test_port_in_use_names_it_and_the_remedy(h264_footage: Footage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before, threads = open_sockets(), threading.active_count()
        server = ServerThread([CameraSpec("cam-01", h264_footage)], port=port)
        with pytest.raises(ListenError, match=rf"port {port}: in use; .* choose another port"):
            server.start()
        assert open_sockets() == before
        assert threading.active_count() == threads


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_address_of_another_machine(host: str, h264_footage: Footage) -> None:
    with pytest.raises(ListenError, match=rf"cannot listen on {host}"):
        ServerThread([CameraSpec("cam-01", h264_footage)], host=host).start()


def test_restart_on_the_same_port(h264_footage: Footage) -> None:
    cameras = [CameraSpec("cam-01", h264_footage)]
    with ServerThread(cameras) as server, RawClient(server.port) as client:
        port = server.port
        client.play("cam-01")
        server.stop()
        with ServerThread(cameras, port=port) as again, RawClient(port) as other:
            assert again.url("cam-01") == f"rtsp://127.0.0.1:{port}/cam-01"
            other.play("cam-01")


def test_ipv6(h264_footage: Footage) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with ServerThread([CameraSpec("cam-01", h264_footage)], host="::1") as server:
        assert server.url("cam-01") == f"rtsp://[::1]:{server.port}/cam-01"
        with socket.create_connection(("::1", server.port), timeout=5) as client:
            client.sendall(f"DESCRIBE {server.url('cam-01')} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            assert client.recv(2000).startswith(b"RTSP/1.0 200 OK")
