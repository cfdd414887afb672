"""A Redis cluster: one connection to each node, and the map that says on which of them a key is.

redis-py's own cluster client would do, but for the time it takes on the event loop: whenever a node fails it goes over
all 16,384 slots again, which is more than a request may wait, and a command that is given up costs its connection.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from redis.crc import key_slot

from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.wires import MOST_UNDER_WAY, SingleWire, Wire

_KEY_AT = {"EVAL": 3, "EVALSHA": 3, "MEMORY": 2, "PING": 0, "HELLO": 0, "ACL": 0, "TIME": 0, "CLUSTER": 0, "SCAN": 0}
"""Where a command's key is, if it is not the first argument; 0: it has none, and any node may answer."""
_LEFT_ALONE_S = 0.5
"""How long a node that failed or was silent is not asked again."""
_MAP_KEPT_S = 0.2
"""How long a new map is used before trouble is a reason to read it again."""
_GONE = frozenset({"CLUSTERDOWN", "MASTERDOWN", "READONLY", "TRYAGAIN", "LOADING"})
"""Refusals that pass: the slot is on its way to another node."""


class Node(NamedTuple):
    host: str
    port: int


async def open_wire(address: RedisAddress) -> Wire:
    """Connect, log in and see whether the server is one of a cluster. Raises RedisAway."""
    wire = await SingleWire.open(address)
    try:
        if not address.cluster:
            # Asked again, because redis-py keeps nothing of the answer that it had.
            about = await wire.post("HELLO")
            if about.get(b"mode") != b"cluster":
                return wire
        return ClusterWire(address, wire, await wire.post("CLUSTER", "SLOTS"))
    except RedisRefused as refused:
        if not address.cluster:
            return wire
        await wire.close()
        raise RedisAway(f"the Redis server {address} cannot be used as a cluster: {refused}") from None
    except BaseException:
        await wire.close()
        raise


class ClusterWire:
    """A Wire over the nodes. It never breaks as a whole: `post` fails for the keys of the nodes that are gone."""

    def __init__(self, address: RedisAddress, first: SingleWire, slots: Any) -> None:
        self.broken = asyncio.Event()
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._wires: dict[Node, SingleWire] = {Node(address.host, address.port): first}
        self._opening: dict[Node, asyncio.Task[SingleWire]] = {}
        self._left_alone: dict[Node, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._map_until = 0.0
        self._starts: list[int] = []
        self._owners: list[Node] = []
        self._moved: dict[int, Node] = {}
        """Slots that the map is wrong about."""
        self._learn(slots)

    def post(self, *command: Any) -> asyncio.Future[Any]:
        if len(self._tasks) >= MOST_UNDER_WAY:
            raise RedisAway(f"the Redis cluster {self._address} cannot keep up: {len(self._tasks)} commands wait")
        place = _KEY_AT.get(command[0], 1)
        return self._task(self._keyed(command, command[place]) if place else self._anywhere(command))

    async def scan(self, pattern: str) -> list[bytes]:
        keys: list[bytes] = []
        for node in dict.fromkeys(self._owners):
            wire = await self._wire(node)
            keys += await wire.scan(pattern)
        return keys

    async def close(self) -> None:
        self.broken.set()
        tasks = [*self._tasks, *self._opening.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for wire in self._wires.values():
            await wire.close()
        self._wires.clear()

    # --- one command ------------------------------------------------------------------------------------------------

    async def _keyed(self, command: tuple[Any, ...], key: Any) -> Any:
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        for last in (False, True):
            node = self._owner(slot)
            try:
                return await self._on(node, command)
            except RedisRefused as refused:
                if refused.code == "ASK":
                    return await self._on(_named(refused, node), command, asking=True)
                if refused.code == "MOVED" and not last:
                    self._moved[slot] = _named(refused, node)
                    self._read_map()
                    continue
                if refused.code == "MOVED" or refused.code in _GONE:
                    self._read_map()
                    raise RedisAway(f"the Redis cluster {self._address} is moving a slot: {refused}") from None
                raise
        raise AssertionError("unreachable")

    async def _on(self, node: Node, command: tuple[Any, ...], *, asking: bool = False) -> Any:
        if self._left_alone.get(node, 0.0) > self._loop.time():
            raise RedisAway(f"the node {node.host}:{node.port} of the Redis cluster {self._address} is away")
        try:
            wire = await self._wire(node)
            if asking:
                # Right before the command, which it is about; its own answer says nothing.
                wire.post("ASKING")
            return await wire.post(*command)
        except (RedisAway, asyncio.CancelledError):
            # Cancelled: whoever asked has waited long enough.
            self._left_alone[node] = self._loop.time() + _LEFT_ALONE_S
            self._read_map()
            raise

    async def _anywhere(self, command: tuple[Any, ...]) -> Any:
        """The first answer of any node: a cluster of which one node is gone can still be used."""
        asked = {self._task(self._asked(node, command)) for node in {*self._owners, *self._wires}}
        failure: BaseException = RedisAway(f"the Redis cluster {self._address} has no node")
        try:
            while asked:
                done, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    error = one.exception()
                    if error is None:
                        return one.result()
                    failure = error
        finally:
            for one in asked:
                one.cancel()
        raise failure

    async def _asked(self, node: Node, command: tuple[Any, ...]) -> Any:
        wire = await self._wire(node)
        return await wire.post(*command)

    # --- nodes and slots --------------------------------------------------------------------------------------------

    async def _wire(self, node: Node) -> SingleWire:
        """The connection to a node, made when it is first needed."""
        wire = self._wires.get(node)
        if wire is not None and not wire.broken.is_set():
            return wire
        opening = self._opening.get(node)
        if opening is None:
            # A task of its own: many wait for it, and any of them may give up.
            opening = self._opening[node] = self._loop.create_task(self._open(node))
            opening.add_done_callback(lambda done: self._opened(node, done))
        return await asyncio.shield(opening)

    async def _open(self, node: Node) -> SingleWire:
        before = self._wires.pop(node, None)
        if before is not None:
            await before.close()
        return await SingleWire.open(replace(self._address, host=node.host, port=node.port, database=0))

    def _opened(self, node: Node, done: asyncio.Task[SingleWire]) -> None:
        self._opening.pop(node, None)
        if not done.cancelled() and done.exception() is None:
            self._wires[node] = done.result()

    def _owner(self, slot: int) -> Node:
        moved = self._moved.get(slot)
        if moved is not None:
            return moved
        place = bisect_right(self._starts, slot) - 1
        if place < 0:
            raise RedisAway(f"the Redis cluster {self._address} has no node for slot {slot}")
        return self._owners[place]

    def _read_map(self) -> None:
        """Read the map anew behind everybody's back."""
        if self._loop.time() >= self._map_until and not self.broken.is_set():
            self._map_until = self._loop.time() + _MAP_KEPT_S
            self._task(self._remap())

    async def _remap(self) -> None:
        self._learn(await self._anywhere(("CLUSTER", "SLOTS")))

    def _learn(self, slots: Iterable[Any]) -> None:
        """From the answer to CLUSTER SLOTS: first slot, last slot, primary, replicas.

        A slot of nobody is asked of who has the one before, and found out there.
        """
        ranges = sorted((int(first), _node(primary, self._address)) for first, _, primary, *_ in slots)
        self._starts, self._owners = [first for first, _ in ranges], [node for _, node in ranges]
        self._moved.clear()

    def _task(self, work: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # fetched, because nobody may be waiting any more


def _node(primary: Any, address: RedisAddress) -> Node:
    host = primary[0].decode() if isinstance(primary[0], bytes) else primary[0]
    # A node that does not know its own name is the one that was asked.
    return Node(host or address.host, int(primary[1]))


def _named(refused: RedisRefused, asked: Node) -> Node:
    """The node of `MOVED slot host:port`."""
    host, _, port = str(refused).rpartition(" ")[2].rpartition(":")
    return Node(host or asked.host, int(port))
