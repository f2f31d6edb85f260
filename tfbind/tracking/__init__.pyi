from . import cache as cache, logger as logger, pull as pull
from .cache import StoredProject as StoredProject
from .client import (
    BASE_URL as BASE_URL,
    KEY as KEY,
    URL as URL,
    WandbError as WandbError,
    base_url as base_url,
    find_key as find_key,
)
from .mapping import (
    OURS as OURS,
    known_as as known_as,
    plain_name as plain_name,
    suggest as suggest,
    unknown as unknown,
)
from .pull import Pulled as Pulled
