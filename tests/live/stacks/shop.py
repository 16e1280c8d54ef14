"""A shop whose handlers wait for a database that never answers. With --tasks they are tasks of asyncio, with
--fork a worker has them."""

import asyncio
import json
import os
import socket
import sys
import threading

LOCK = threading.Lock()
LOCAL = "127.0.0.1"


def query_db(database):
    return database.recv(64)  # waits


def load_user(database):
    return query_db(database)


def handle_checkout(port):
    with socket.create_connection((LOCAL, port)) as database:
        load_user(database)


def reserve_stock():
    with LOCK:  # waits for the lock
        pass


def serve(port):
    listener = socket.socket()
    listener.bind((LOCAL, 0))
    listener.listen(100)
    LOCK.acquire()
    for _ in range(3):
        threading.Thread(target=reserve_stock, daemon=True).start()
    ready(listener.getsockname())
    clients = []
    while True:
        clients.append(listener.accept())
        threading.Thread(target=handle_checkout, args=(port,), daemon=True).start()


async def query_db_task(database):
    return await database.read(64)  # awaits


async def load_user_task(database):
    return await query_db_task(database)


async def sleep_task():
    await asyncio.sleep(1000)


async def serve_tasks(port):
    async def handle_checkout_task(_, writer):
        database, database_writer = await asyncio.open_connection(LOCAL, port)
        await load_user_task(database)

    server = await asyncio.start_server(handle_checkout_task, LOCAL, 0)
    asleep = asyncio.ensure_future(sleep_task())
    ready(server.sockets[0].getsockname())
    await asleep


def ready(address):
    print(json.dumps({"port": address[1]}), flush=True)


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


if "--fork" in sys.argv:
    # As a thread of the parent would be, it is not there in the worker.
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    WORKER = os.fork()
    if WORKER:
        os.waitpid(WORKER, 0)
        os._exit(0)
threading.Thread(target=end_with_stdin, daemon=True).start()
PORT = int(sys.argv[-1])
if "--tasks" in sys.argv:
    LOOP = asyncio.new_event_loop()
    asyncio.set_event_loop(LOOP)
    LOOP.run_until_complete(serve_tasks(PORT))
else:
    serve(PORT)
