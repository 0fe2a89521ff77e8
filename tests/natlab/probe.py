"""What a NAT does, seen from both sides.

`serve` answers every datagram with the address that it came from, at four endpoints.
`map` asks three of them from one socket, and prints the distinct answers.
"""

import socket
import select
import sys

ADDRESSES = ("203.0.113.10", "203.0.113.11")
PORTS = (3478, 3479)


def serve():
    sockets = []
    for address in ADDRESSES:
        for port in PORTS:
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sockets[-1].bind((address, port))
    print("ready", flush=True)
    while True:
        for ready in select.select(sockets, [], [])[0]:
            _, whence = ready.recvfrom(64)
            ready.sendto(f"{whence[0]}:{whence[1]}".encode(), whence)


def mapping():
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(3)
    seen = set()
    for to in ((ADDRESSES[0], PORTS[0]), (ADDRESSES[0], PORTS[1]), (ADDRESSES[1], PORTS[0])):
        asking.sendto(b"?", to)
        seen.add(asking.recvfrom(64)[0].decode())
    print(len(seen))


{"serve": serve, "map": mapping}[sys.argv[1]]()
