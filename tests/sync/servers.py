"""Real servers in temporary folders, on free ports of the loopback."""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

PASSWORD = "only-on-loopback"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def postgres_binaries() -> Path | None:
    """Return the folder of initdb, which Debian does not put on the path."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path()).parent or None


class PostgresServer:
    """A cluster of its own. PostgreSQL refuses to run as root: it then runs as `postgres`."""

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.port = free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="coterie-postgres-"))
        if self.user:
            shutil.chown(self.folder, self.user)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._run("initdb", "--username=crm", "--auth=scram-sha-256", f"--pwfile={password}")
        self.start()

    def _run(self, name: str, *options: str) -> None:
        command = [self.binaries / name, "--pgdata", self.folder / "data", *options]
        log = self.folder.with_suffix(".log")
        with log.open("a") as output:
            done = subprocess.run(
                command, user=self.user, cwd="/", stdout=output, stderr=subprocess.STDOUT
            )
        assert done.returncode == 0, log.read_text()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        options += f" -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "start", "--wait", "--log", f"{self.folder}/log", "--options", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode", "fast")

    def remove(self) -> None:
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)
        self.folder.with_suffix(".log").unlink(missing_ok=True)

    def address(self, database: str) -> str:
        return f"postgresql://crm:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[str, ...]]:
        """Return rows as text; NULL is empty."""
        psql = [self.binaries / "psql", "--no-psqlrc", "--quiet", "--csv", "--tuples-only"]
        done = subprocess.run(
            [*psql, "--set=ON_ERROR_STOP=1", self.address(database)],
            input=statement,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [tuple(row) for row in csv.reader(io.StringIO(done.stdout))]


class TrytonServer:
    """Tryton on a SQLite database, with a key for its REST interface."""

    def __init__(self, python: Path, folder: Path, key: str) -> None:
        self.python = python
        self.folder = folder
        self.key = key
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/crm"

    @property
    def database(self) -> Path:
        return self.folder / "crm.sqlite"

    def start(self) -> None:
        settings = self.folder / "trytond.conf"
        settings.write_text(tryton_settings(self.folder, self.port))
        with (self.folder / "trytond.log").open("a") as log:
            self.process = subprocess.Popen(
                [self.python.parent / "trytond", "-c", settings, "-d", "crm"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "trytond.log").read_text()
                time.sleep(0.1)
        raise AssertionError((self.folder / "trytond.log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None


def tryton_settings(folder: Path, port: int) -> str:
    return (
        f"[database]\nuri = sqlite://\npath = {folder}\n\n"
        f"[web]\nlisten = 127.0.0.1:{port}\n\n[session]\nauthentications = password\n"
    )


NEW_KEY = """
import sys
from proteus import Model, config

config.set_trytond("sqlite:///crm", config_file=sys.argv[1])
(admin,) = Model.get("res.user").find([("login", "=", "admin")])
key = Model.get("res.user.application")(application="rest", user=admin)
key.save()
print(key.key)
"""


def new_tryton_database(python: Path, folder: Path) -> str:
    """Make a database with the module of parties; return a key for its REST interface."""
    settings = folder / "trytond.conf"
    settings.write_text(tryton_settings(folder, 0))
    (folder / "crm.sqlite").touch()
    (folder / "password").write_text(PASSWORD)
    environment = {**os.environ, "TRYTONPASSFILE": str(folder / "password")}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [*map(str, command)], env=environment, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    admin = [python.parent / "trytond-admin", "-c", settings, "-d", "crm"]
    run(*admin, "--all", "--email", "admin@example.com")
    run(*admin, "-u", "party", "--activate-dependencies")
    return run(python, "-c", NEW_KEY, settings).strip().splitlines()[-1]
