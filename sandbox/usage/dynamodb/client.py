"""The calls to DynamoDB, each an explained error or an answer. boto3 blocks, so all of it belongs in threads.

boto3's own retries are off. What passes by itself (throttling, 5xx, no connection) is asked again a few times here;
whoever sends batches begins again later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from functools import cache, partial
from typing import Any, Final, TypeVar

import orjson

from providers.attempts import RetryPolicy
from providers.clock import Randomness
from providers.errors import AuthenticationError
from providers.vendors.settings import environment
from sandbox.usage.dynamodb import names
from sandbox.usage.dynamodb.access import PASSING, AwsAccess, TableError, Target
from sandbox.usage.dynamodb.items import Item
from sandbox.usage.dynamodb.policy import ACTIONS

CONNECTIONS: Final = 8
"""Calls under way at once. More do not go faster: boto3 spends its time with the interpreter lock held."""
PUT_LIMIT: Final = 25
"""Items in one BatchWriteItem."""
GET_LIMIT: Final = 100
"""Keys in one BatchGetItem."""
CONNECT_TIMEOUT: Final = 2.0
READ_TIMEOUT: Final = 5.0
RETRY: Final = RetryPolicy(retries=4, base_delay=0.05, max_delay=1.0, jitter="full")
"""For one call; the items that a batch leaves unprocessed are throttling too."""

_STALE: Final = frozenset(("ConnectionClosedError", "ProtocolError"))
"""A kept connection that the server has closed meanwhile."""

R = TypeVar("R")
Pause = Callable[[float], object]
Took = Callable[[Sequence[str]], object]


def _nobody(_: Sequence[str]) -> None: ...


class Table:
    """One table; connects at the first call. `pause` sleeps in a thread."""

    def __init__(
        self,
        name: str,
        access: AwsAccess,
        *,
        draws: Randomness,
        pause: Pause | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        self.name = name
        self.access = access
        self._draws = draws
        self._closing = threading.Event()
        self.pause = pause or self._closing.wait
        self._connections = connections
        self._connecting = threading.Lock()
        self._client: Any = None
        self.target = Target(name, access.region, access.endpoint_url)

    # --- one call ---------------------------------------------------------------------------------------------------

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One operation by boto3's name for it, such as `query`. Raises TableError."""
        return self._again(lambda: self._once(operation, parameters))

    def _once(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        from providers.transports.aws_credentials import unlogged
        from sandbox.usage.dynamodb.problems import explained

        action = ACTIONS[operation]
        try:
            client = self._connected()
            # What boto3 would make of the parameters, at a fraction of the time: DynamoDB's JSON is what they are.
            _bodies.now = orjson.dumps(parameters)
            with unlogged():
                answer: dict[str, Any] = getattr(client, operation)(**_ADDRESSED[operation in _BATCHES])
        except (ClientError, BotoCoreError, AuthenticationError, OSError) as error:
            failure = explained(error, self.target, action)
        else:
            return answer
        if failure.cause == "credentials":
            # Files that were renewed are read by a new session only.
            self._disconnect()
        raise failure

    def _again(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        retry = 0
        while True:
            try:
                return work()
            except TableError as error:
                # A silent server is not asked again by whoever waits for it.
                most = RETRY.retries if error.cause in PASSING else error.code in _STALE
                if retry >= most or self._closing.is_set():
                    raise
            self.pause(RETRY.backoff(retry, self._draws))
            retry += 1

    # --- many items -------------------------------------------------------------------------------------------------

    def put(self, items: Sequence[Item], took: Took = _nobody) -> None:
        """Put all of them, each whole; `took` hears, in any thread, of the keys that the table has.

        Raises TableError; some may be there then.
        """
        self._write([(item[names.KEY]["S"], {"PutRequest": {"Item": item}}) for item in items], took)

    def delete(self, keys: Sequence[str]) -> None:
        self._write([(key, {"DeleteRequest": {"Key": {names.KEY: {"S": key}}}}) for key in keys], _nobody)

    def _write(self, requests: Sequence[tuple[str, dict[str, Any]]], took: Took) -> None:
        def some(part: Sequence[tuple[str, dict[str, Any]]]) -> None:
            left = dict(part)
            while left:
                answer = self._again(partial(self._write_some, left))
                unprocessed = {_key_of(one) for one in answer.get("UnprocessedItems", {}).get(self.name, ())}
                took([key for key in left if key not in unprocessed])
                left = {key: one for key, one in left.items() if key in unprocessed}
                self._pause_for(left)

        self.each(some, [requests[i : i + PUT_LIMIT] for i in range(0, len(requests), PUT_LIMIT)])

    def _write_some(self, requests: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._once("batch_write_item", {"RequestItems": {self.name: list(requests.values())}})
        self._check_progress(len(answer.get("UnprocessedItems", {}).get(self.name, ())), len(requests))
        return answer

    def existing(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys are in the table now."""
        found: set[str] = set()

        def some(left: Sequence[str]) -> None:
            while left:
                answer = self._again(partial(self._read_some, left))
                found.update(item[names.KEY]["S"] for item in answer.get("Responses", {}).get(self.name, ()))
                left = [key[names.KEY]["S"] for key in _unread(answer, self.name)]
                self._pause_for(left)

        self.each(some, [keys[i : i + GET_LIMIT] for i in range(0, len(keys), GET_LIMIT)])
        return found

    def _read_some(self, keys: Sequence[str]) -> dict[str, Any]:
        asked = {
            "Keys": [{names.KEY: {"S": key}} for key in keys],
            "ProjectionExpression": names.KEY,
            "ConsistentRead": True,
        }
        answer = self._once("batch_get_item", {"RequestItems": {self.name: asked}})
        self._check_progress(len(_unread(answer, self.name)), len(keys))
        return answer

    def _check_progress(self, left: int, asked: int) -> None:
        """A batch of which nothing was done was throttled; one of which a part was done is on its way."""
        if left >= asked:
            raise TableError(f"{self.target.place} is throttling table {self.name}", "throttled", "Unprocessed")

    def _pause_for(self, left: Sized) -> None:
        if left:
            self.pause(RETRY.backoff(0, self._draws))

    def update(self, parameters: dict[str, Any]) -> bool:
        """UpdateItem; False where its condition did not hold."""
        try:
            self.call("update_item", TableName=self.name, **parameters)
        except TableError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def get(self, key: str) -> Item | None:
        answer = self.call("get_item", TableName=self.name, Key={names.KEY: {"S": key}}, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    # --- indexes ----------------------------------------------------------------------------------------------------

    def pages(
        self,
        index: str,
        value: str,
        since: str | None = None,
        until: str | None = None,
        *,
        begins: str | None = None,
        backwards: bool = False,
        page: int | None = None,
        only: Sequence[str] = (),
    ) -> Iterator[list[Item]]:
        """The items under a value of an index's hash key, by time: `[since, until]`, or times that begin so.

        `page`: how many at a time; `only`: these attributes.
        """
        named = {"#hash": names.INDEXES[index]}
        values: Item = {":hash": {"S": value}}
        condition = "#hash = :hash"
        bounds = {":since": since, ":until": until, ":begins": begins}
        values |= {name: {"S": bound} for name, bound in bounds.items() if bound is not None}
        if begins is not None:
            condition += " AND begins_with(#range, :begins)"
        elif since is not None and until is not None:
            condition += " AND #range BETWEEN :since AND :until"
        elif since is not None:
            condition += " AND #range >= :since"
        elif until is not None:
            condition += " AND #range <= :until"
        if len(values) > 1:
            named["#range"] = names.TIME
        parameters: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not backwards,
        }
        if page is not None:
            parameters["Limit"] = page
        if only:
            chosen = {f"#o{number}": name for number, name in enumerate(only)}
            named |= chosen
            parameters["ProjectionExpression"] = ", ".join(chosen)
        parameters["ExpressionAttributeNames"] = named
        while True:
            answer = self.call("query", **parameters)
            yield answer.get("Items", [])
            following = answer.get("LastEvaluatedKey")
            if not following:
                return
            parameters["ExclusiveStartKey"] = following

    # --- threads and connection -------------------------------------------------------------------------------------

    def each(self, work: Callable[[Any], R], parts: Sequence[Any]) -> list[R]:
        """The results of some work, several at a time. Raises the first error when what was under way has ended.

        The threads are daemons: a server that says nothing must not hold the exit of the interpreter.
        """
        if len(parts) < 2:
            return [work(part) for part in parts]
        results: list[Any] = [None] * len(parts)
        numbered = iter(enumerate(parts))
        taking = threading.Lock()
        errors: list[BaseException] = []

        def some() -> None:
            while not errors:
                with taking:
                    number, part = next(numbered, (None, None))
                if number is None:
                    return
                try:
                    results[number] = work(part)
                except BaseException as error:
                    errors.append(error)

        threads = [
            threading.Thread(target=some, name="dynamodb", daemon=True)
            for _ in range(min(self._connections, len(parts)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results

    def _connected(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = connect(self.access, connections=self._connections)
                self.target = Target(self.name, self._client.meta.region_name, self.access.endpoint_url)
            return self._client

    def _disconnect(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Safe to call twice; a later call connects again."""
        self._closing.set()
        self._disconnect()


def connect(access: AwsAccess, *, connections: int = CONNECTIONS) -> Any:
    """boto3's client. Raises AuthenticationError and errors of botocore."""
    import boto3
    from botocore.config import Config

    from providers.transports.aws_credentials import open_session, unlogged

    region, key, secret = access.region, access.access_key_id, access.secret_access_key
    if access.local:
        # An emulator takes any key. The chain is not asked: it may go as far as the network.
        region = region or environment("AWS_REGION") or environment("AWS_DEFAULT_REGION") or "us-east-1"
        if not (key and secret) and access.profile is None:
            key = environment("AWS_ACCESS_KEY_ID") or "local"
            secret = environment("AWS_SECRET_ACCESS_KEY") or "local"
    with unlogged():
        session = open_session(key, secret, access.session_token, access.profile)
        session.register_component("data_loader", _loader())
        client: Any = boto3.Session(botocore_session=session).client(
            "dynamodb",
            region_name=region,
            endpoint_url=access.endpoint_url,
            config=Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                max_pool_connections=connections,
                parameter_validation=False,
                tcp_keepalive=True,
            ),
        )
    client.meta.events.register("before-call.dynamodb", _fill)
    return client


def _fill(params: dict[str, Any], **_: Any) -> None:
    params["body"] = _bodies.now


_BATCHES: Final = frozenset(("batch_get_item", "batch_write_item"))
_ADDRESSED: Final[tuple[dict[str, Any], dict[str, Any]]] = ({}, {"RequestItems": {}})
"""What boto3 looks into, by whether it is a batch, to find out where to send the call."""


class _Bodies(threading.local):
    """What the call that this thread makes is to send."""

    now = b"{}"


_bodies = _Bodies()


def _key_of(request: Mapping[str, Any]) -> str:
    """The key of one request of a BatchWriteItem."""
    item = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
    key: str = item[names.KEY]["S"]
    return key


def _unread(answer: Mapping[str, Any], table: str) -> Sequence[Mapping[str, Any]]:
    keys: Sequence[Mapping[str, Any]] = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
    return keys


@cache
def _loader() -> Any:
    """One for all sessions: each by itself would look through a thousand folders and parse the service anew."""
    from botocore.loaders import create_loader

    return create_loader()
