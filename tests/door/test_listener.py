"""What a listener is given."""

from __future__ import annotations

import re
from typing import Any

import pytest

import hubbub


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"tls": "cert.pem"}, "tls is 'cert.pem'; make it as in hubbub.Tls('cert.pem', 'key.pem')"),
        ({"access": "::1"}, "access is '::1'; make it as in hubbub.Access(allow=['192.0.2.0/24'])"),
        ({"proxies": "::1"}, "proxies is '::1'; make it as in hubbub.Networks(['192.0.2.7'])"),
        ({"room": 5}, "room is 5; give the name of a room"),
        ({"any_protocol": None}, "any_protocol is None; it must be True or False"),
        ({"any_protocol": "no"}, "any_protocol is 'no'; it must be True or False"),
        ({"sndbuf": "8K"}, "sndbuf is '8K'; give a whole number of bytes"),
        ({"mode": "660"}, "mode is '660'; write it with 0o and three digits, as in 0o660"),
        # As many would write 0o660.
        ({"mode": 660}, "mode is 660; write it with 0o and three digits, as in 0o660"),
    ],
)
def test_an_attribute_that_cannot_be_is_said_to_be(attributes: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        hubbub.Listener(endpoint=hubbub.Address("::1", 0), **attributes)
