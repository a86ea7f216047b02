"""Settings of Superset for one machine: secrets in files, metadata in SQLite, loopback only.

Superset imports this module by its name, from ``PYTHONPATH``. Everything it writes goes to
``SUPERSET_HOME``, by default ``local`` beside this file, which git ignores.
"""

import os
import secrets
from pathlib import Path

HOME = Path(os.environ.get("SUPERSET_HOME") or Path(__file__).resolve().parent / "local")
HOME.mkdir(mode=0o700, parents=True, exist_ok=True)


def kept_secret(variable: str, filename: str) -> str:
    """Return a secret from the environment, or from a file that is written at first use.

    Parameters
    ----------
    variable : str
        Environment variable that goes before the file.
    filename : str
        Name of the file in ``HOME``, readable by its owner only.

    Returns
    -------
    str
        The secret.
    """
    if os.environ.get(variable):
        return os.environ[variable]
    path = HOME / filename
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(42))
    return path.read_text().strip()


SECRET_KEY = kept_secret("SUPERSET_SECRET_KEY", "secret_key")
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME / 'superset.db'}"
DATA_DIR = str(HOME)

SUPERSET_WEBSERVER_ADDRESS = "127.0.0.1"
SESSION_COOKIE_SAMESITE = "Lax"

# Superset's own policy with nothing but this server in it: no counting pixel, no map tiles.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    # Nobody serves https on loopback.
    "force_https": False,
    "session_cookie_secure": False,
}

# A build replaces the marts, and what is shown is to be what they hold.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
FILTER_STATE_CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache"}
EXPLORE_FORM_DATA_CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache"}
