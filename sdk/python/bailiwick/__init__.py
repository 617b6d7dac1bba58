"""Call tools through a Bailiwick gateway, under authority that a person granted.

The client obtains delegations and presents them. It holds the instance's own keys and nothing else:
no tool's credential, and no way to widen what was granted. It derives nothing.
"""

from .api import Answer, Api
from .client import Client, Tools
from .errors import BailiwickError, Denied, Refused, ToolFailed, Unavailable
from .keys import Chain, InstanceKeys

__all__ = [
    "Answer",
    "Api",
    "BailiwickError",
    "Chain",
    "Client",
    "Denied",
    "InstanceKeys",
    "Refused",
    "ToolFailed",
    "Tools",
    "Unavailable",
]
