"""The programs that are measured, each with the same few verbs: prepare, backup, restore, archive, close.

All are encrypted, with their own default chunking, and zstd level 3 where the level can be chosen.
"""
import json
import os
import shutil
import subprocess
import time

import measure

PASSWORD = "a password for the benchmark"


class Tool:
    """`folder` is a new folder for the repository, caches and whatever else the program keeps."""
    program = name = ""

    def __init__(self, folder, options):
        self.folder = folder
        self.repository = os.path.join(folder, "repository")
        self.env = {"HOME": folder, "XDG_CACHE_HOME": os.path.join(folder, "cache"),
                    "XDG_CONFIG_HOME": os.path.join(folder, "config")}

    @classmethod
    def installed(cls, options):
        return shutil.which(cls.program) is not None

    @classmethod
    def version(cls, options):
        answer = subprocess.run([cls.program, "--version" if cls.program != "restic" else "version"],
                                capture_output=True, text=True, check=False)
        return (answer.stdout or answer.stderr).strip().split("\n")[0]

    def run(self, *command, **more):
        return measure.run(command, env=self.env, **more)

    def archive(self, source, file):
        """A ZIP of the newest snapshot; None where the program has no such thing."""

    # What follows is None where the program has no such thing.

    def diff(self, old, new):
        """What differs between two snapshots, by their numbers from the oldest, which is 1."""

    def find(self, name):
        """The entries of that name in all snapshots."""

    def check(self):
        """Whether all is there that snapshots need, without reading file data."""

    def check_data(self):
        """The same, and all data read and proven."""

    def forget_latest(self):
        """Removes the newest snapshot, but nothing else."""

    def prune(self):
        """Removes what no snapshot needs."""

    def close(self):
        pass


class Restic(Tool):
    program = name = "restic"

    def prepare(self):
        self.env |= {"RESTIC_REPOSITORY": self.repository, "RESTIC_PASSWORD": PASSWORD}
        self.run("restic", "init")

    def backup(self, source, number):
        return self.run("restic", "backup", "--quiet", source)

    def restore(self, source, target, number):
        return self.run("restic", "restore", "--quiet", "latest", "--target", target)

    def archive(self, source, file):
        return self.run("restic", "dump", "--archive", "zip", "latest", source, stdout=file)

    def ids(self):
        answer = subprocess.run(["restic", "snapshots", "--json"], env=os.environ | self.env, capture_output=True, check=True)
        return [snapshot["id"] for snapshot in sorted(json.loads(answer.stdout), key=lambda it: it["time"])]

    def diff(self, old, new):
        ids = self.ids()
        return self.run("restic", "diff", ids[old - 1], ids[new - 1])

    def find(self, name):
        return self.run("restic", "find", name)

    def check(self):
        return self.run("restic", "check", "--quiet")

    def check_data(self):
        return self.run("restic", "check", "--quiet", "--read-data")

    def forget_latest(self):
        return self.run("restic", "forget", self.ids()[-1])

    def prune(self):
        return self.run("restic", "prune", "--quiet")


class Rustic(Tool):
    program = name = "rustic"

    def prepare(self):
        self.env |= {"RUSTIC_REPOSITORY": self.repository, "RUSTIC_PASSWORD": PASSWORD, "RUSTIC_NO_PROGRESS": "true"}
        self.run("rustic", "init")

    def backup(self, source, number):
        return self.run("rustic", "backup", source)

    def restore(self, source, target, number):
        return self.run("rustic", "restore", "latest", target)


class Borg(Tool):
    program = name = "borg"

    def prepare(self):
        self.env |= {"BORG_REPO": self.repository, "BORG_PASSPHRASE": PASSWORD, "BORG_BASE_DIR": self.folder}
        self.run("borg", "init", "--encryption", "repokey-blake2")

    def backup(self, source, number):
        return self.run("borg", "create", "--compression", "zstd,3", f"::{number}", source)

    def restore(self, source, target, number):
        return self.run("borg", "extract", f"::{number}", cwd=target)

    def diff(self, old, new):
        return self.run("borg", "diff", f"::{old}", f"{new}")

    def check(self):
        return self.run("borg", "check")

    def check_data(self):
        return self.run("borg", "check", "--verify-data")

    def forget_latest(self):
        answer = subprocess.run(["borg", "list", "--short"], env=os.environ | self.env, capture_output=True, check=True)
        return self.run("borg", "delete", f"::{answer.stdout.decode().split()[-1]}")

    def prune(self):
        return self.run("borg", "compact")


class Bupstash(Tool):
    program = name = "bupstash"

    def prepare(self):
        key = os.path.join(self.folder, "key")
        self.env |= {"BUPSTASH_REPOSITORY": self.repository, "BUPSTASH_KEY": key}
        self.run("bupstash", "new-key", "--output", key)
        self.run("bupstash", "init")

    def backup(self, source, number):
        return self.run("bupstash", "put", "--quiet", f"name={number}", source)

    def restore(self, source, target, number):
        return self.run("bupstash", "restore", "--quiet", "--into", target, f"name={number}")


class Ours(Tool):
    """cloudsticctl against a cloudsticd that runs all the time, as it is meant to be used."""
    name = "cloudstic"

    def __init__(self, folder, options):
        super().__init__(folder, options)
        self.daemon_program = os.path.join(options.bin, "cloudsticd")
        self.client_program = os.path.join(options.bin, "cloudsticctl")
        self.socket = os.path.join(folder, "daemon.sock")
        self.daemon = None

    @classmethod
    def installed(cls, options):
        return os.path.exists(os.path.join(options.bin, "cloudsticd"))

    @classmethod
    def version(cls, options):
        program = os.path.join(options.bin, "cloudsticctl")
        return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()

    def prepare(self):
        secret, config = os.path.join(self.folder, "password"), os.path.join(self.folder, "config.toml")
        with open(secret, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(PASSWORD + "\n")
        with open(config, "w") as f:
            f.write(f'[daemon]\nsocket = "{self.socket}"\nstate_dir = "{self.folder}/state"\n'
                    f'[repositories.bench]\nstore = "local:{self.repository}"\npassword = "file:{secret}"\n')
        log = open(os.path.join(self.folder, "daemon.log"), "wb")
        self.daemon = subprocess.Popen([self.daemon_program, "--config", config], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while self.daemon.poll() is None and time.monotonic() < deadline:
            answer = subprocess.run([self.client_program, "--socket", self.socket, "status"], capture_output=True)
            if answer.returncode == 0:
                break
            time.sleep(0.05)
        else:
            raise measure.Failed(f"cloudsticd does not answer: see {log.name}")
        self.ctl("init", "bench")

    def ctl(self, *args, **more):
        return self.run(self.client_program, "--socket", self.socket, *args, daemon=self.daemon.pid, **more)

    def backup(self, source, number):
        return self.ctl("backup", "--repository", "bench", source)

    def restore(self, source, target, number):
        return self.ctl("restore", "bench", "latest", "--to", target)

    def archive(self, source, file):
        return self.ctl("restore", "bench", "latest", "--zip", "-", stdout=file)

    def snapshots(self):
        answer = subprocess.run([self.client_program, "--socket", self.socket, "--json", "list", "bench"],
                                capture_output=True, check=True)
        return sorted(json.loads(answer.stdout)["snapshots"], key=lambda snapshot: snapshot["seq"])

    def diff(self, old, new):
        snapshots = self.snapshots()
        return self.ctl("diff", "bench", snapshots[old - 1]["ref"], snapshots[new - 1]["ref"])

    def find(self, name):
        return self.ctl("find", "bench", name)

    def check(self):
        return self.ctl("check", "bench")

    def check_data(self):
        return self.ctl("check", "bench", "--read-data")

    def forget_latest(self):
        return self.ctl("forget", "bench", "latest")

    def prune(self):
        return self.ctl("prune", "bench")

    def close(self):
        if self.daemon is not None:
            self.daemon.terminate()
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()


PEERS = {tool.name: tool for tool in (Restic, Rustic, Borg, Bupstash)}
