"""Which addresses an administrator may give for a server of one's own."""

from __future__ import annotations

import pytest

from providers.errors import ConfigError
from providers.vendors.endpoints import checked_endpoint


async def check(url: str, *, private: bool = False, at: list[str] | None = None) -> str:
    async def lookup(host: str) -> list[str]:
        if at is None:
            raise OSError("no such host")
        return at

    return await checked_endpoint(url, source="endpoint", allow_private=private, lookup=lookup)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://10.0.0.5:8000", True),
        ("http://192.168.1.2:8000/v1", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://[fd12:3456::1]:8000", True),
        ("https://8.8.8.8", False),
        ("http://[2606:4700::1111]:8000", False),
    ],
)
async def test_what_may_be_called(url: str, private: bool) -> None:
    assert await check(url, private=private) == url
    if private:
        with pytest.raises(ConfigError, match="is a private address; allow private addresses"):
            await check(url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://10.0.0.5",
        "ftp://10.0.0.5/",
        "javascript:alert(1)",
        "10.0.0.5:8000",
        "http://",
        "http:///v1",
        "http://user:secret@10.0.0.5",
        "http://10.0.0.5:99999",
        "http://10.0.0.5/\nHost: evil",
        "",
    ],
)
async def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^endpoint ") as refused:
        await check(url, private=True)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376",
        "http://169.254.43518",
        "http://[::ffff:169.254.169.254]",
        "http://[::ffff:a9fe:a9fe]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::1]",
        "http://[fe80::1%25eth0]:8000",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://168.63.129.16",
        "http://192.0.0.192/opc/v2",
        "http://0.0.0.0:8000",
        "http://[::]:8000",
        "http://224.0.0.1",
        "http://255.255.255.255",
    ],
)
async def test_never_a_metadata_service_or_what_is_no_server(url: str) -> None:
    with pytest.raises(ConfigError, match=r"metadata services|no address of a server|must be an address"):
        await check(url, private=True)


@pytest.mark.parametrize(
    "url",
    ["http://127.1", "http://2130706433", "http://0x7f.1", "http://[::ffff:10.0.0.1]", "http://x.localhost"],
)
async def test_this_machine_and_private_ranges_in_disguise(url: str) -> None:
    with pytest.raises(ConfigError, match="is a private address"):
        await check(url)


async def test_a_name_is_judged_by_all_its_addresses() -> None:
    assert await check("http://llm.example.com:8000", at=["8.8.8.8", "2606:4700::1111"])
    for hidden in ("10.0.0.1", "127.0.0.1", "169.254.169.254"):
        with pytest.raises(ConfigError, match=f"llm.example.com is at {hidden}, and that is"):
            await check("http://llm.example.com", at=["8.8.8.8", hidden])
    with pytest.raises(ConfigError, match=r"is at 169\.254\.169\.254, and that is of the range"):
        await check("http://llm.example.com", private=True, at=["169.254.169.254"])
    with pytest.raises(ConfigError, match=r"the host nowhere\.example cannot be found"):
        await check("http://nowhere.example", private=True)


async def test_a_name_that_begins_as_an_address_is_a_name() -> None:
    with pytest.raises(ConfigError, match=r"is at 169\.254\.169\.254, and that is"):
        await check("http://8.8.8.8%.example.com", at=["169.254.169.254"])


async def test_without_a_network_names_are_judged_by_their_look() -> None:
    async def checked(url: str) -> str:
        return await checked_endpoint(url, source="endpoint", allow_private=False, lookup=None)

    assert await checked("http://gpu-box:8000/") == "http://gpu-box:8000"
    with pytest.raises(ConfigError):
        await checked("http://localhost:8000")
    with pytest.raises(ConfigError):
        await checked("http://169.254.169.254")
