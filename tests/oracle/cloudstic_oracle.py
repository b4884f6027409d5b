#!/usr/bin/env python3
"""An independent reader and verifier of Cloudstic repositories, written from the format description alone.

It shares no code with any program that writes repositories, so that both can be checked against it. It only ever
reads a repository; `restore` writes to the folder it is given. Numbers in brackets are sections of that description.
"""
import argparse
import base64
import collections
import ctypes
import datetime
import fcntl
import hashlib
import hmac
import json
import os
import re
import stat
import struct
import sys
import time
import zlib

import argon2
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ZSTD, GZIP, FOOTER = b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"CSTCPKF1"
INLINE_MAX = PACKED_MAX = CHUNK_MIN = 524_288
CHUNK_NORMAL, CHUNK_MAX, LEAF_MAX, DEEPEST = 1_048_576, 8_388_608, 32, 6
OBJECT_LIMIT, CONTENT_LIMIT = 1 << 26, 1 << 30  # what decompression may give [2]; a chunk: CHUNK_MAX
DATA = ("chunk", "content", "filemeta", "node")  # what this project packs, and what footers hold
KINDS = (*DATA, "snapshot")
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)  # what a wrong shape of JSON raises


class Damage(Exception):
    """One object is missing or not what it should be; `key` names it."""

    def __init__(self, key, problem):
        super().__init__(f"{key}: {problem}")
        self.key, self.problem = key, problem


def sha(data):
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- canonical JSON [4]

# The field order of every kind of object; a field with ? is left out when empty, zero or false.
FIELDS = {kind: fields.split() for kind, fields in {
    "config": "version created encrypted chunker?",
    "slot": "slot_type wrapped_key label kdf_params?",
    "kdf_params": "algorithm salt time memory threads",
    "content": "type size chunks? data_inline_b64?",
    "filemeta": "version fileId name type parents paths? content_hash content_ref? size mtime owner extra? mode? uid? "
                "gid? btime? flags? xattrs?",
    "node": "type bitmap? children? entries?",
    "entries": "key path_key? filemeta",
    "snapshot": "version created root seq source? meta? tags? change_token? exclude_hash?",
    "snapshots": "ref seq created root source? tags? change_token? exclude_hash?",
    "source": "type account? path? identity? path_id? drive_name? fs_type?",
    "latest": "latest_snapshot seq",
    "place": "p o l",
}.items()}
TYPES = {name: kind for kind, names in {  # all other fields are strings
    int: "version size mtime mode uid gid btime flags bitmap seq o l time memory threads", bool: "encrypted",
    list: "parents paths chunks children entries tags", dict: "extra xattrs meta source kdf_params",
}.items() for name in names.split()}
SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
ESCAPED = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029]')


class Number(str):
    """A number that is not an integer, kept as it was written."""


def parse(key, data):
    try:
        return json.loads(data.decode("utf-8"), parse_float=Number)
    except (ValueError, RecursionError) as why:
        raise Damage(key, f"is not JSON ({why})") from None


def canonical(value, kind=None):
    """The canonical text of a value; `kind` names its list of fields, a map without one is sorted by key."""
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        return '"' + ESCAPED.sub(lambda m: SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(canonical(v, kind) for v in value) + "]"
    if not isinstance(value, dict):
        return json.dumps(value)
    if kind not in FIELDS:
        return "{" + ",".join(canonical(k) + ":" + canonical(value[k]) for k in sorted(value, key=str.encode)) + "}"
    parts = []
    for name in FIELDS[kind]:
        field, optional = name.rstrip("?"), name.endswith("?")
        if not optional or value.get(field):
            content = value[field]
            if type(content) is not TYPES.get(field, str) and (field, content) != ("parents", None):
                raise ValueError(f"{field!r} has the wrong type")
            if isinstance(content, list) and not all(type(x) is (dict if field == "entries" else str) for x in content):
                raise ValueError(f"{field!r} has something of the wrong type in it")
            parts.append(f"{canonical(field)}:{canonical(content, field)}")
    if unknown := value.keys() - {f.rstrip("?") for f in FIELDS[kind]}:
        raise ValueError(f"unknown field {min(unknown)!r}")
    return "{" + ",".join(parts) + "}"


def check_canonical(key, value, data, kind):
    try:
        again = canonical(value, kind).encode()
    except MALFORMED as why:
        raise Damage(key, f"has no canonical form ({type(why).__name__}: {why})") from None
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(again, data)) if a != b), min(len(again), len(data)))
        raise Damage(key, f"is not canonical JSON (differs at byte {at})")


# ---------------------------------------------------------------- sealing and keys [2, 3]

def aes_open(key, blob):
    """0x01 | nonce | ciphertext | tag; None if this key does not open it."""
    try:
        return AESGCM(key).decrypt(blob[1:13], blob[13:], None) if len(blob) >= 29 and blob[0] == 1 else None
    except InvalidTag:
        return None


def decompress(data, limit):
    """One step of decompression, chosen by magic; ValueError if the bytes are not what the magic promises."""
    try:
        if data.startswith(ZSTD) and zstandard.frame_content_size(data) <= limit:
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit, allow_extra_data=False)
        if data.startswith(GZIP):
            stream = zlib.decompressobj(31)
            plain = stream.decompress(data, limit + 1)
            if stream.eof and not stream.unused_data and len(plain) <= limit:
                return plain
        if data.startswith((ZSTD, GZIP)):
            raise ValueError("is a compressed stream that is too long, cut short, or followed by other bytes")
    except (zstandard.ZstdError, zlib.error) as why:
        raise ValueError(f"does not decompress ({why})") from None
    return data


def derive(secret, info):
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def password_key(password, kdf):
    if kdf["algorithm"] != "argon2id":
        raise ValueError(f"unknown key derivation {kdf['algorithm']!r}")
    return argon2.low_level.hash_secret_raw(password.encode(), base64.b64decode(kdf["salt"]), kdf["time"],
                                            kdf["memory"], kdf["threads"], 32, argon2.Type.ID, 0x13)


def recovery_key(words):
    """The 32 bytes of entropy of a 24-word English BIP39 mnemonic."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bip39-english.txt")) as f:
        number = {word: i for i, word in enumerate(f.read().split())}
    words, bits = words.lower().split(), 0
    if len(words) != 24 or any(w not in number for w in words):
        raise ValueError("the recovery phrase is not 24 words of the English BIP39 list")
    for w in words:
        bits = bits << 11 | number[w]
    entropy = (bits >> 8).to_bytes(32, "big")
    if hashlib.sha256(entropy).digest()[0] != bits & 0xFF:
        raise ValueError("the checksum of the recovery phrase is wrong")
    return entropy


def dedup_name(dedup_key, data):
    """What names a chunk, or the content with this (hex) content hash."""
    return hmac.digest(dedup_key, data, "sha256").hex() if dedup_key else sha(data)


def content_name(dedup_key, content_hash):
    return "content/" + (dedup_name(dedup_key, content_hash.encode()) if dedup_key else content_hash)


def content_of(meta):
    return "content/" + (meta.get("content_ref") or meta["content_hash"])


# ---------------------------------------------------------------- chunk boundaries [12]

def gear(dedup_key=None):
    """The table of the CLI's chunker; with a key, that of keyed boundaries."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "gear.hex")) as f:
        table = [int(line, 16) for line in f]
    seed = int.from_bytes(derive(dedup_key, b"cloudstic-chunker-v1")[:8], "little") if dedup_key else 0
    return [g ^ seed for g in table]


def cut(data, table):
    """Where the first chunk ends in data that go on after this; None if not in them."""
    low = (1 << 22) - 1  # no mask looks at higher bits
    table, fp, at = [g & low for g in table], 0, CHUNK_MIN
    for stop, mask in ((CHUNK_NORMAL, low), (CHUNK_MAX, (1 << 18) - 1)):
        for at, byte in enumerate(data[at:stop], at + 1):
            fp = (fp << 1) + table[byte] & low
            if not fp & mask:
                return at
    return CHUNK_MAX if len(data) >= CHUNK_MAX else None


def chunk_lengths(data, table):
    """The lengths of the chunks of a whole file; none for one that is stored inline."""
    data, at = memoryview(data), 0
    while len(data) > INLINE_MAX and at < len(data):
        length = cut(data[at:at + CHUNK_MAX], table) or len(data) - at
        yield length
        at += length


# ---------------------------------------------------------------- the repository [1, 2, 9, 10, 11]

class Repository:
    """`use_footers`: whether footers are read at all; `accept_plain`: whether plain objects in an encrypted
    repository are read."""

    def __init__(self, path, use_footers=True, accept_plain=False):
        self.path, self.files, self.leftovers, self.in_clear = path, {}, [], set()
        self.use_footers, self.accept_plain = use_footers, accept_plain
        self.footers, self.footer_problems, self.footer_places = {}, {}, collections.defaultdict(list)
        self.passed_over = {}  # objects that are not where they are looked for first, and why
        for folder, _, names in os.walk(path):
            for name in names:
                key = os.path.relpath(os.path.join(folder, name), path)
                if name.endswith(".tmp"):
                    self.leftovers.append(key)
                else:
                    self.files[key] = os.path.getsize(os.path.join(folder, name))
        if "config" not in self.files:
            raise Damage("config", f"is missing: {path} is not an initialised repository")
        self.config = parse("config", self.read("config"))
        self.encrypted = bool(self.config["encrypted"])
        self.slots = {k: parse(k, self.read(k)) for k in sorted(self.files) if k.startswith("keys/")}
        self.encryption_key = self.dedup_key = None
        self.catalog, self.catalog_problem = {}, None
        if "index/packs" in self.files:
            try:
                catalog = parse("index/packs", self.read("index/packs"))
                if not all(e["o"] >= 0 and e["l"] >= 0 and e["p"] + "" for e in catalog.values()):
                    raise ValueError("an entry says no pack, or lies before its beginning")
                self.catalog = catalog
            except (Damage, *MALFORMED) as why:
                self.catalog_problem = getattr(why, "problem", f"is malformed ({type(why).__name__}: {why})")

    def unlock(self, password=None, platform_key=None, recovery_words=None):
        """Opens the first key slot that one of the credentials fits, and reads the footers; returns the slot's key."""
        given = {"platform": platform_key, "recovery": recovery_words, "password": password}
        tried = []
        for key, keyslot in self.slots.items() if self.encrypted else ():
            kind = keyslot.get("slot_type")
            if (credential := given.get(kind)) is None:
                continue
            try:
                if kind == "password":
                    wrapping = password_key(credential, keyslot["kdf_params"])
                else:
                    wrapping = recovery_key(credential) if kind == "recovery" else bytes.fromhex(credential)
                master = aes_open(wrapping, base64.b64decode(keyslot["wrapped_key"], validate=True))
            except (*MALFORMED, argon2.exceptions.Argon2Error) as why:
                raise Damage(key, f"cannot be used: {why}") from None
            if master is not None:
                self.encryption_key = derive(master, b"cloudstic-backup-v1")
                self.dedup_key = derive(self.encryption_key, b"cloudstic-dedup-mac-v1")
                self.read_footers()
                return key
            tried.append(key)
        if tried:
            raise Damage(", ".join(tried), "does not open: the credential is wrong, or the slot is damaged")
        if self.encrypted:
            raise Damage("keys/", f"the repository is encrypted, a credential is needed for {list(self.slots)}")
        self.read_footers()
        return None

    def read(self, key, offset=0, length=-1):
        """Bytes of a file of the base store."""
        if key not in self.files:
            raise Damage(key, "is missing")
        with open(os.path.join(self.path, key), "rb") as f:
            f.seek(offset)
            return f.read(length)

    def keys(self, kind):
        return sorted(k for k in self.files.keys() | self.catalog.keys() | self.footer_places.keys()
                      if k.startswith(kind + "/"))

    def packed(self, key):
        """Where packs have an object: what the catalog says, then what footers say."""
        return ([self.catalog[key]] if key in self.catalog else []) + self.footer_places.get(key, [])

    def find(self, key, read=lambda data: data):
        """What `read` makes of the sealed bytes in the first place where it can: the catalog's, those of the footers,
        and the plain object. `passed_over` remembers what was wrong before that."""
        wrong = []
        for place in self.packed(key) + [None] * (key in self.files):
            try:
                value = read(self.read(key) if place is None else self.member(key, place))
            except Damage as d:
                wrong.append(d)
                continue
            if wrong:
                self.passed_over[key] = wrong[0].problem
            return value
        raise wrong[0] if wrong else Damage(key, "is missing")

    def member(self, key, place):
        end, size = place["o"] + place["l"], self.files.get(place["p"])
        if size is None or end > size:
            raise Damage(key, f"lies in {place['p']}, which is missing" if size is None else
                         f"lies outside {place['p']} (bytes {place['o']} to {end} of {size})")
        return self.read(place["p"], place["o"], place["l"])

    def decrypt(self, key, data):
        if not self.encrypted:
            return data
        if len(data) < 29 or data[0] != 1:
            if not key.startswith("index/lock."):
                if not self.accept_plain:
                    raise Damage(key, "is not encrypted, in an encrypted repository")
                self.in_clear.add(key)
            return data
        if self.encryption_key is None:
            raise Damage(key, "is encrypted, and the repository is not unlocked")
        if (plain := aes_open(self.encryption_key, data)) is None:
            raise Damage(key, "does not decrypt (authentication failed)")
        return plain

    def unseal(self, key, data):
        try:
            return decompress(self.decrypt(key, data), CONTENT_LIMIT if key.startswith("content/") else OBJECT_LIMIT)
        except ValueError as why:
            raise Damage(key, str(why)) from None

    def load(self, key, kind):
        """A metadata object: decoded, proven by its hash where that is its name, canonical; the parsed value."""
        def read(sealed):
            data = self.unseal(key, sealed)
            if kind in ("filemeta", "node", "snapshot") and sha(data) != key.split("/", 1)[1]:
                raise Damage(key, f"is not what its name says (its SHA-256 is {sha(data)})")
            value = parse(key, data)
            check_canonical(key, value, data, kind)
            return value
        return self.find(key, read)

    def chunk(self, key, trapped):
        """The bytes of a chunk. One that was stored as it is and starts like compressed data [2] is known by its hash:
        try what decompression gives, then the bytes themselves; `trapped` collects such keys."""
        def read(sealed):
            raw, why = self.decrypt(key, sealed), "hash of its bytes: %s"
            try:
                data = decompress(raw, CHUNK_MAX)
            except ValueError as problem:
                data, why = raw, f"{problem}; hash of its bytes: %s"
            for candidate in (data, raw):
                if dedup_name(self.dedup_key, candidate) == key.split("/", 1)[1]:
                    if candidate is raw and raw.startswith((ZSTD, GZIP)):
                        trapped.add(key)
                    return candidate
            raise Damage(key, "is not what its name says (" + why % dedup_name(self.dedup_key, data) + ")")
        return self.find(key, read)

    def data_of(self, key, content, read_chunk):
        """The bytes of a file, piece by piece: all chunks, then the inline data."""
        for ref in content.get("chunks") or []:
            yield read_chunk(ref)
        if inline := content.get("data_inline_b64"):
            try:
                yield base64.b64decode(inline, validate=True)
            except ValueError:
                raise Damage(key, "data_inline_b64 is not base64") from None

    def read_footers(self):
        """Every footer [11.2] that can be believed: its members are data objects and cover all that is before it."""
        full = {(e["p"], e["o"] + e["l"]) for e in self.catalog.values()}
        for pack in self.keys("packs") if self.use_footers else ():
            if (pack, self.files.get(pack)) in full:
                continue  # the catalog has a member up to the end: what looks like a footer would be user data
            try:
                members, start = self.footer(pack)
            except (Damage, *MALFORMED) as why:
                self.footer_problems[pack] = getattr(why, "problem", "its footer is malformed")
                continue
            if members is not None:
                self.footers[pack] = members, start
                for key, offset, length in members:
                    self.footer_places[key].append({"p": pack, "o": offset, "l": length})

    def footer(self, pack):
        """A pack's footer: a list of [key, offset, length], and where it starts; (None, size) without one."""
        size = self.files[pack]
        tail = self.read(pack, max(0, size - 16))
        if len(tail) < 16 or tail[8:] != FOOTER:
            return None, size
        start = size - 16 - struct.unpack("<Q", tail[:8])[0]
        if start < 0:
            raise Damage(pack, "its footer is longer than the pack")
        members, at = parse(pack, self.unseal(pack, self.read(pack, start, size - 16 - start))), 0
        for key, offset, length in members:
            if not re.fullmatch(f"({'|'.join(DATA)})/[0-9a-f]{{64}}", key):
                raise Damage(pack, f"its footer has {key!r}, which is no data object")
            if offset != at or length <= 0:
                raise Damage(pack, f"its footer has members that do not follow on each other (at {at})")
            at += length
        if at != start:
            raise Damage(pack, f"its footer has members up to {at}, and begins at {start}")
        return members, start

    def locks(self):
        """Every lock [9], sealed or plain."""
        for key in sorted(k for k in self.files if k.startswith("index/lock.")):
            raw = self.read(key)
            lock = {"key": key, "stored": "plain" if raw[:1] == b"{" else "sealed"}
            try:
                lock |= {"lock": parse(key, self.unseal(key, raw))}
                expires = when(lock["lock"].get("expires_at"))
                lock["live"] = expires is None or expires > time.time_ns()
            except (Damage, *MALFORMED) as why:
                lock["problem"] = getattr(why, "problem", "is malformed")
            yield lock

    def snapshot_named(self, name):
        """A snapshot by `latest`, reference, hash or the beginning of a hash."""
        if name == "latest":
            return self.load("index/latest", "latest")["latest_snapshot"]
        found = [k for k in self.keys("snapshot") if k.startswith("snapshot/" + name.removeprefix("snapshot/"))]
        if len(found) != 1:
            raise Damage(f"snapshot/{name.removeprefix('snapshot/')}", "is not unique" if found else "is missing")
        return found[0]


def when(text):
    """An RFC 3339 time in nanoseconds, or None if it cannot be parsed."""
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", str(text))
    try:
        seconds = datetime.datetime.fromisoformat(m[1] + m[3].replace("Z", "+00:00")).timestamp() if m else None
    except ValueError:
        return None
    return int(seconds) * 10 ** 9 + int((m[2] or "").ljust(9, "0")) if m else None


def previous(snapshots, source):
    """The snapshot that a backup of this source follows on [8], None for the first."""
    for fields in ("type identity path_id", "type identity path", "type account path"):
        same = [s for s in snapshots if all(source.get(f) and s["source"].get(f) == source[f] for f in fields.split())]
        if same:
            return max(same, key=lambda s: (when(s["created"]), s["seq"], s["ref"]))
    return None


# ---------------------------------------------------------------- trees [6, 7]

def path_key(parent, file_id):
    return sha(parent.encode())[:4] + sha(file_id.encode())[4:]


def slot(entry, level):
    route = entry.get("path_key") or sha(entry["key"].encode())
    return int(route[:8], 16) >> (32 - 5 * (level + 1)) & 31


def build(entries, level=0):
    """The reference of the canonical node for these entries, "" for none."""
    if not entries:
        return ""
    if len(entries) <= LEAF_MAX or level >= DEEPEST:
        node = {"type": "leaf", "entries": sorted(entries, key=lambda e: e["key"].encode())}
    else:
        slots = collections.defaultdict(list)
        for e in entries:
            slots[slot(e, level)].append(e)
        node = {"type": "internal", "bitmap": sum(1 << s for s in slots),
                "children": [build(slots[s], level + 1) for s in sorted(slots)]}
    return "node/" + sha(canonical(node, "node").encode())


def walk(load, ref, problem, route=()):
    """Every entry under a node, checking the shape on the way. `load` gives a node, `problem` is told of damage."""
    try:
        node = load(ref, "node")
        children, entries, bitmap = node.get("children") or [], node.get("entries") or [], node.get("bitmap", 0)
        slots = [s for s in range(32) if bitmap >> s & 1]
        if node["type"] == "leaf":
            names = [e["key"].encode() for e in entries]
            if names != sorted(set(names)) or children or bitmap:
                problem(ref, "is a leaf with children, or with entries that are not sorted or not unique")
            for e in entries:
                if tuple(slot(e, level) for level in range(len(route))) != route:
                    problem(ref, f"has the entry {e['key']!r}, which does not belong under this node")
        elif node["type"] != "internal" or entries or len(route) >= DEEPEST:
            raise Damage(ref, "is neither a leaf nor a proper internal node")
        elif bitmap >> 32 or not slots or len(slots) != len(children):
            raise Damage(ref, f"has the bitmap {bitmap}, which does not fit its {len(children)} children")
    except Damage as d:
        return problem(d.key, d.problem)
    except MALFORMED as why:
        return problem(ref, f"is malformed ({type(why).__name__}: {why})")
    yield from entries
    for s, child in zip(slots, children):
        yield from walk(load, child, problem, route + (s,))


def posix_of(meta):
    return (meta.get("extra") or {}).get("posix") or {}


def name_of(meta):
    """The name, as bytes."""
    posix = posix_of(meta)
    return base64.b64decode(posix["name_b64"], validate=True) if "name_b64" in posix else meta["name"].encode()


def is_utf8(name):
    return name.decode("utf-8", "replace").encode() == name


def file_id_of(path):
    """How a path, as bytes, is written in a fileId [11.3]: each bad byte of a name that is not UTF-8 as U+0000 and two hex digits."""
    return re.sub("[\udc80-\udcff]", lambda m: f"\0{ord(m[0]) - 0xDC00:02X}", path.decode("utf-8", "surrogateescape"))


def impossible(name):
    """Whether no file can have this name [10]."""
    return name in (b"", b".", b"..") or b"/" in name or b"\0" in name


def parent_of(meta, load):
    """The fileId of the first parent, "" at the top. Old writers put a filemeta reference there."""
    parent = (meta.get("parents") or [""])[0]
    return load(parent, "filemeta")["fileId"] if parent.startswith("filemeta/") else parent


# ---------------------------------------------------------------- verify

class Verifier:
    """Errors are violations of the format; notes are what the format allows a reader to meet, but a careful writer
    does not leave behind."""

    def __init__(self, repo, boundaries=False):
        self.repo, self.errors, self.notes = repo, {}, {}
        self.checked, self.values, self.contents = collections.Counter(), {}, {}
        self.reached, self.trapped, self.trees, self.packs = set(), set(), [], []
        keyed = repo.dedup_key if repo.config.get("chunker") == "keyed" else None
        self.gear, self.cuts = gear(keyed) if boundaries else None, {}  # cuts: where the chunker cuts each chunk

    def error(self, key, problem):
        self.errors[key, problem] = {"object": key, "problem": problem}

    def note(self, key, problem):
        self.notes[key, problem] = {"object": key, "problem": problem}

    def guard(self, key, check, *args):
        try:
            return check(*args)
        except Damage as d:
            self.error(d.key, d.problem)
        except MALFORMED as why:
            self.error(key, f"is malformed ({type(why).__name__}: {why})")

    def once(self, key, kind, read):
        """The value of an object, proven the first time; its Damage every time."""
        if key not in self.values:
            try:
                self.values[key] = read()
                self.checked[kind] += 1
            except Damage as d:
                self.values[key] = d
        if isinstance(self.values[key], Damage):
            raise self.values[key]
        return self.values[key]

    def load(self, key, kind):
        self.reached.add(key)
        return self.once(key, kind, lambda: self.repo.load(key, kind))

    def read_chunk(self, key):
        """The bytes of a chunk; only its size is remembered."""
        data = b""

        def read():
            nonlocal data
            data = self.repo.chunk(key, self.trapped)
            if self.gear:
                self.cuts[key] = cut(data, self.gear)
            return len(data)
        size = self.once(key, "chunk", read)
        return data if len(data) == size else self.repo.chunk(key, self.trapped)

    def run(self):
        repo = self.repo
        self.guard("index/packs", self.check_plain_objects)
        for pack in repo.keys("packs"):
            self.guard(pack, self.check_pack, pack)
        for key in repo.keys("content"):
            self.guard(key, self.check_content, key)
        for key in repo.keys("chunk"):
            if key not in self.values:
                self.guard(key, self.read_chunk, key)
        for key in repo.keys("snapshot"):
            self.guard(key, self.check_snapshot, key)
        reached = set(self.reached)
        for kind in ("filemeta", "node"):  # those that no snapshot reaches
            for key in repo.keys(kind):
                self.guard(key, self.load, key, kind)
        self.check_index()
        for lock in repo.locks():
            self.check_lock(lock["key"], lock)
        for key in sorted(self.trapped):
            self.note(key, "was stored as it is and starts like compressed data: the CLI cannot read it")
        for key in sorted(repo.in_clear):
            self.note(key, "is not encrypted, in an encrypted repository")
        missing = {e["p"] for e in repo.catalog.values()} - repo.files.keys()
        for key, problem in sorted(repo.passed_over.items()):
            if key not in repo.catalog or repo.catalog[key]["p"] not in missing:
                self.error(key, f"{problem}; and yet it is elsewhere too")
        for pack in sorted(missing):
            lost = [k for k, e in repo.catalog.items() if e["p"] == pack and k not in repo.passed_over]
            (self.error if lost else self.note)(pack, "is missing, and the catalog has objects in it" + (
                "" if lost else ", all of which are elsewhere too"))
        only_footers = [k for k in repo.footer_places if k not in repo.files and (
            k not in repo.catalog or k in repo.passed_over)]
        for key in only_footers:
            if key not in repo.catalog:
                self.note(key, "is not in the catalog (footer has it)")
        for key in repo.leftovers:
            self.note(key, "is a leftover of a dead writer")
        unreferenced = {kind: sum(k not in reached for k in repo.keys(kind)) for kind in KINDS if kind != "snapshot"}
        return {"ok": not self.errors, "errors": list(self.errors.values()), "notes": list(self.notes.values()),
                "checked": dict(self.checked), "unreferenced": unreferenced, "packs": self.packs,
                "only_footers": {"reachable": sum(k in reached for k in only_footers), "all": len(only_footers)},
                "snapshots": sorted(self.trees, key=lambda t: t["seq"]), "locks": list(repo.locks())}

    def check_plain_objects(self):
        repo = self.repo
        if repo.config.get("version") != 1 or when(repo.config.get("created")) is None:
            self.error("config", "is not a version 1 configuration with a creation time")
        if repo.config.get("chunker", "keyed") != "keyed" or ("chunker" in repo.config and not repo.encrypted):
            self.error("config", "has a chunker that is not known, or keyed boundaries without a key")
        self.guard("config", check_canonical, "config", repo.config, repo.read("config"), "config")
        for key, keyslot in repo.slots.items():
            self.guard(key, check_canonical, key, keyslot, repo.read(key), "slot")
            if key != f"keys/{keyslot.get('slot_type')}-{keyslot.get('label')}":
                self.error(key, "does not fit its name")
        known = re.compile(r"config|keys/[^/]+|(chunk|content|filemeta|node|snapshot|packs)/[0-9a-f]{64}|"
                           r"index/(latest|snapshots|packs|doomed|lock\.exclusive|lock\.shared/[^/]+)")
        for key in sorted(repo.files.keys() | repo.catalog.keys()):
            if not known.fullmatch(key):
                self.note(key, "is not a key of this format")
        if "index/packs" not in repo.files and repo.keys("packs"):
            healed = repo.footers.keys() == set(repo.keys("packs"))
            (self.note if healed else self.error)("index/packs", "is missing, and there are packs" + (
                ", all of which have footers" if healed else ""))
        if repo.catalog_problem:
            self.error("index/packs", repo.catalog_problem)
        elif repo.catalog:
            members = [canonical(k) + ":" + canonical(repo.catalog[k], "place") for k in sorted(repo.catalog)]
            if ("{" + ",".join(members) + "}").encode() != repo.read("index/packs"):
                self.note("index/packs", "is not canonical JSON sorted by key")
        for key, e in repo.catalog.items():
            if e["l"] > PACKED_MAX:
                self.note(key, f"is in a pack although it has more than {PACKED_MAX} bytes")
            if key in repo.files:
                self.note(key, f"is in {e['p']} and also a plain object, which it shadows")
            if key == "index/snapshots" or not key.startswith((*(k + "/" for k in KINDS), "index/latest")):
                self.error(key, f"is in {e['p']}, and must not be in a pack")

    def check_pack(self, pack):
        repo, size = self.repo, self.repo.files[pack]
        live = {k: (e["o"], e["o"] + e["l"]) for k, e in repo.catalog.items() if e["p"] == pack}
        members, body = repo.footers.get(pack, ([], size))
        live |= {k: (o, o + n) for k, o, n in members if k not in repo.catalog and repo.packed(k)[0]["p"] == pack}
        report = {"pack": pack, "size": size, "live": len(live), "footer": None,
                  "dead_bytes": size - sum(end - start for start, end in live.values())}
        self.packs.append(report)
        if sha(repo.read(pack)) != pack.split("/")[1]:
            self.error(pack, "is not what its name says: its bytes have another SHA-256")
        if any(end > size for _, end in live.values()) or overlap(live.values()):
            self.error(pack, f"has {size} bytes; the catalog has members that overlap, or lie outside")
        if not live and pack not in repo.footers:
            self.note(pack, "has no object that is known, and no footer that says what may be in it")
        if pack in repo.footer_problems:
            self.error(pack, repo.footer_problems[pack])
        if pack in repo.footers:
            listed = {(k, o, o + n) for k, o, n in members}
            if wrong := [k for k, (start, end) in live.items() if (k, start, end) not in listed]:
                self.error(pack, f"its footer does not have {wrong[0]} where the catalog does ({len(wrong)} such)")
            report |= {"footer": len(listed), "dead_bytes": report["dead_bytes"] - (size - body)}

    def check_content(self, key):
        content = self.once(key, "content", lambda: self.repo.load(key, "content"))
        whole, sizes = hashlib.sha256(), []
        try:
            for data in self.repo.data_of(key, content, self.read_chunk):
                whole.update(data)
                sizes.append(len(data))
        except Damage as d:
            self.error(d.key, d.problem)
            raise Damage(key, "cannot be read") from None
        size, digest = sum(sizes), whole.hexdigest()
        inline, chunks = bool(content.pop("data_inline_b64", None)), content.get("chunks") or []
        plain_name = "content/" + digest
        self.contents[key] = {"size": size, "content_hash": digest}
        if content["type"] != "content" or content["size"] != size:
            self.error(key, f"says {content['size']} bytes, has {size}")
        if key not in (plain_name, content_name(self.repo.dedup_key, digest)):
            self.error(key, f"is not what its name says (the content hash of its data is {digest})")
        elif self.repo.encrypted and key == plain_name:
            self.note(key, "has the hash of its data for a name, in an encrypted repository")
        if bool(chunks) != (size > INLINE_MAX) or inline != (0 < size <= INLINE_MAX) or (
                chunks and (min(sizes[:-1], default=CHUNK_MIN) < CHUNK_MIN or max(sizes) > CHUNK_MAX)):
            self.note(key, f"its {size} bytes are not divided as they should be")
        if self.gear and any(self.cuts[ref] not in (n, None if i == len(chunks) else n)
                             for i, (ref, n) in enumerate(zip(chunks, sizes), 1)):
            self.note(key, f"its chunks are not those that the chunker gives: {sizes}")

    def check_snapshot(self, key):
        snapshot, errors = self.load(key, "snapshot"), len(self.errors)
        if snapshot["version"] != 1 or when(snapshot["created"]) is None or snapshot["seq"] < 1:
            self.error(key, "is not a version 1 snapshot with a time and a number")
        entries, metas = list(walk(self.load, snapshot["root"], self.error)) if snapshot["root"] else [], {}
        for e in entries:
            if e["key"] in metas:
                self.error(key, f"has two entries {e['key']!r}")
            metas[e["key"]] = self.guard(e["filemeta"], self.load, e["filemeta"], "filemeta")
        for e in entries:
            if metas[e["key"]]:
                self.guard(e["filemeta"], self.check_entry, key, e, metas[e["key"]], metas)
                if snapshot["source"]["type"] in ("local", "sftp"):
                    self.guard(e["filemeta"], self.check_path, e["filemeta"], metas[e["key"]])
        root = build(entries)
        self.trees.append({"snapshot": key, "seq": snapshot["seq"], "root": snapshot["root"], "entries": len(entries),
                           "canonical": root == snapshot["root"], "sound": len(self.errors) == errors})
        if root != snapshot["root"]:
            self.note(snapshot["root"], f"the tree of {key} is not canonical: its entries make {root or 'no tree'}")

    def check_entry(self, snapshot, entry, meta, metas):
        """One entry of a tree and its filemeta; `metas` has all of them by fileId."""
        key, posix, parent = entry["filemeta"], posix_of(meta), parent_of(meta, self.load)
        if meta["fileId"] != entry["key"]:
            self.error(snapshot, f"has an entry {entry['key']!r} with the filemeta of {meta['fileId']!r}")
        if parent and (metas.get(parent) or {"type": None})["type"] != "folder":
            self.error(key, f"its parent {parent!r} is not a folder in {snapshot}")
        if entry.get("path_key", path_key(parent, entry["key"])) != path_key(parent, entry["key"]):
            self.error(snapshot, f"the path_key of {entry['key']!r} is wrong")
        if impossible(name_of(meta)):
            self.error(key, f"has the name {name_of(meta)!r}, and its name cannot be that")
        if wrong := wrong_posix(meta):
            self.error(key, f"has an extra.posix that makes no sense: {wrong}")
        if (name := posix.get("hardlink")) is not None:
            first = metas.get(name)
            if name not in metas or (first and "hardlink" in posix_of(first)):
                self.error(key, f"is a hard link to {name!r}, which is no first name in {snapshot}")
            elif first and what_is(first) != what_is(meta):
                self.error(key, f"is a hard link to {name!r}, and has not the same content")
        if meta["type"] == "folder" or "kind" in posix:
            if meta["content_hash"] or meta.get("content_ref") or meta["size"]:
                self.error(key, "is a folder or special file, and has content")
        elif meta["type"] != "file":
            self.error(key, f"has an unknown type {meta['type']!r}")
        else:
            content = self.load(content_of(meta), "content")
            self.reached.update(content.get("chunks") or [])
            if "content_ref" in meta and content_of(meta) != content_name(self.repo.dedup_key, meta["content_hash"]):
                self.error(key, "its content_ref does not follow from its content_hash")
            found = self.contents.get(content_of(meta), meta)
            if any(found[f] != meta[f] for f in ("size", "content_hash")):
                self.error(key, f"does not fit {content_of(meta)}: {found}")

    def check_path(self, key, meta):
        """What holds for an entry of a local or SFTP source."""
        parents, name = meta["parents"] or [], name_of(meta)
        path, old = "/".join(parents + [file_id_of(name)]), bool(parents) and parents[0].startswith("filemeta/")
        if len(parents) > 1 or meta["parents"] == [] or (path != meta["fileId"] and not old):
            self.error(key, f"its fileId {meta['fileId']!r} is not its path {path!r}")
        if meta["version"] != 0 or not 0 <= meta.get("mode", 0) <= 0o7777:
            self.error(key, "has a version that is not 0, or a mode with a file type in it")
        for value in (meta.get("xattrs") or {}).values():
            base64.b64decode(value, validate=True)

    def check_index(self):
        repo, key = self.repo, "index/snapshots"
        snapshots = {k: v for k, v in self.values.items() if k.startswith("snapshot/") and isinstance(v, dict)}
        exists = repo.files.keys() | repo.catalog.keys()
        if snapshots or "index/latest" in exists:
            latest = self.guard("index/latest", self.load, "index/latest", "latest")
            if latest and latest["latest_snapshot"] not in snapshots:
                self.error("index/latest", f"points to {latest['latest_snapshot']}, which is missing or damaged")
            elif latest and latest["seq"] != snapshots[latest["latest_snapshot"]]["seq"]:
                self.error("index/latest", f"has seq {latest['seq']}, which is not that of its snapshot")
            elif latest and latest["seq"] != max(s["seq"] for s in snapshots.values()):
                self.note("index/latest", f"has seq {latest['seq']}, which is not the highest")
        if key not in exists:
            return self.note(key, "is missing") if snapshots else None
        data = self.guard(key, repo.find, key, lambda sealed: repo.unseal(key, sealed))
        listed = None if data is None else self.guard(key, parse, key, data)
        if listed is None:
            return None
        self.guard(key, check_canonical, key, listed, data, "snapshots")
        self.checked["index"] += 1
        for e in listed:
            if snapshot := snapshots.get(e["ref"]):
                wrong = [f for f in (x.rstrip("?") for x in FIELDS["snapshots"][1:]) if e.get(f) != snapshot.get(f)]
                if wrong:
                    self.error(key, f"disagrees with {e['ref']} about {', '.join(wrong)}")
        for ref in sorted(snapshots.keys() ^ {e["ref"] for e in listed}):
            self.note(key, f"does not have {ref}" if ref in snapshots else f"has {ref}, which is gone")

    def check_lock(self, key, lock):
        if "problem" in lock:
            return self.error(key, lock["problem"])
        self.checked["lock"] += 1
        body, shared = lock["lock"], key.startswith("index/lock.shared/")
        if missing := [f for f in ("operation", "holder", "acquired_at", "expires_at") if not body.get(f)]:
            self.error(key, f"has no {', '.join(missing)}")
        if bool(body.get("is_shared")) != shared or (shared and key.split("/")[2] != body.get("acquired_at")):
            self.error(key, "does not fit its name")
        if when(body.get("expires_at")) is None:
            self.note(key, "its expires_at cannot be parsed: it counts as live")


def what_is(meta):
    """What all the names of one file have in common."""
    posix = posix_of(meta)
    return [meta[f] for f in ("type", "content_hash", "size")] + [
        posix.get(f) for f in ("kind", "target", "target_b64", "rdev_major", "rdev_minor")]


POSIX = {"kind": str, "target": str, "target_b64": str, "rdev_major": int, "rdev_minor": int, "hardlink": str, "mtime_nsec": int,
         "sparse": bool, "name_b64": str}


def wrong_posix(meta):
    """What is wrong with the extra.posix of an entry [11.3]: the name of a field, or None."""
    posix, kind, file = posix_of(meta), posix_of(meta).get("kind"), meta["type"] == "file"
    device = kind in ("char", "block")
    if wrong := [f for f, value in posix.items() if type(value) is not POSIX.get(f)]:
        return wrong[0]
    name = name_of(meta)
    right = {
        "posix": posix or "posix" not in (meta.get("extra") or {}),
        "kind": kind is None or (file and kind in ("symlink", "fifo", "socket", "char", "block")),
        "target": (bool(posix.get("target")) == ("target" in posix)
                   and ("target" in posix) + ("target_b64" in posix) == (kind == "symlink")),
        "target_b64": "target_b64" not in posix or not is_utf8(base64.b64decode(posix["target_b64"])),
        "rdev_major": ("rdev_major" in posix) == device and posix.get("rdev_major", 0) >= 0,
        "rdev_minor": ("rdev_minor" in posix) == device and posix.get("rdev_minor", 0) >= 0,
        "hardlink": file or "hardlink" not in posix,
        "mtime_nsec": 1 <= posix.get("mtime_nsec", 1) < 10 ** 9,
        "sparse": posix.get("sparse", True) and (file and kind is None or "sparse" not in posix),
        "name_b64": "name_b64" not in posix or (
            not is_utf8(name) and lossy(name.decode("utf-8", "replace")) == lossy(meta["name"])),
    }
    return next((field for field, good in right.items() if not good), None)


def lossy(name):
    """A run of bad bytes may have become one U+FFFD or several."""
    return re.sub("\ufffd+", "\ufffd", name)


def overlap(ranges):
    ranges = sorted(ranges)
    return any(b[0] < a[1] for a, b in zip(ranges, ranges[1:]))


# ---------------------------------------------------------------- restore

def path_of(file_id, metas, load):
    """The path of an entry, as bytes: the names along the chain of its parents."""
    names, at = [], file_id
    while at:
        meta = metas.get(at)
        if meta is None or len(names) > len(metas) or (names and meta["type"] != "folder"):
            raise Damage(file_id, "its parents are not a chain of folders up to the top")
        names.append(name_of(meta))
        if impossible(names[-1]):
            raise Damage(file_id, f"a path cannot have the name {names[-1]!r}")
        at = parent_of(meta, load)
    return b"/".join(reversed(names))


def restore(repo, snapshot_ref, out, owner):
    """Writes the files of a snapshot under `out`; returns the number of entries, and problems."""
    problems, metas, out = [], {}, os.fsencode(out)

    def problem(key, text):
        problems.append({"object": key, "problem": text})

    snapshot = repo.load(snapshot_ref, "snapshot")
    for e in walk(repo.load, snapshot["root"], problem) if snapshot["root"] else ():
        try:
            metas[e["key"]] = repo.load(e["filemeta"], "filemeta")
        except Damage as d:
            problem(d.key, d.problem)
    os.makedirs(out, exist_ok=True)
    if os.listdir(out):
        raise Damage(os.fsdecode(out), "is not empty")
    paths, taken, linked = {}, set(), set()
    for file_id in metas:
        try:
            path = path_of(file_id, metas, repo.load)
            if path in taken:
                raise Damage(file_id, f"another entry has its path {path!r}")
            paths[file_id] = path
            taken.add(path)
        except (Damage, *MALFORMED) as why:
            problem(file_id, f"is not restored: {why}")
    for file_id in sorted(paths, key=lambda f: (  # folders first, second names of files last
            metas[f]["type"] != "folder", "hardlink" in posix_of(metas[f]), paths[f])):
        target, first = os.path.join(out, paths[file_id]), paths.get(posix_of(metas[file_id]).get("hardlink"))
        try:
            if first and os.path.lexists(os.path.join(out, first)):
                os.link(os.path.join(out, first), target, follow_symlinks=False)
                linked.add(file_id)
            else:
                create(repo, metas[file_id], target)
        except (Damage, OSError, *MALFORMED) as why:
            problem(file_id, f"is not restored: {why}")
            if os.path.isfile(target):
                os.unlink(target)
    # Mode 0 is left out, and yet a mode, where modes were collected at all.
    collected = snapshot["source"]["type"] in ("local", "sftp") and any("mode" in m for m in metas.values())
    for file_id in sorted(paths.keys() - linked, key=lambda f: (  # deepest first
            metas[f]["type"] == "folder", -paths[f].count(b"/"))):
        try:
            decorate(metas[file_id], os.path.join(out, paths[file_id]), 0 if collected else None, owner)
        except (OSError, *MALFORMED) as why:
            problem(file_id, f"has not all of its metadata: {why}")
    return len(metas), problems


def create(repo, meta, target):
    posix = posix_of(meta)
    kind = posix.get("kind")
    if meta["type"] == "folder":
        return os.mkdir(target)
    if kind == "symlink":
        return os.symlink(base64.b64decode(posix["target_b64"]) if "target_b64" in posix
                          else os.fsencode(posix["target"]), target)
    if kind:
        form = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "char": stat.S_IFCHR, "block": stat.S_IFBLK}[kind]
        device = os.makedev(posix["rdev_major"], posix["rdev_minor"]) if kind in ("char", "block") else 0
        return os.mknod(target, form | 0o600, device)
    key, whole = content_of(meta), hashlib.sha256()
    with open(target, "xb") as f:
        for data in repo.data_of(key, repo.load(key, "content"), lambda ref: repo.chunk(ref, set())):
            whole.update(data)
            for piece in (data[at:at + 65536] for at in range(0, len(data), 65536)):
                if posix.get("sparse") and not any(piece):
                    f.seek(len(piece), os.SEEK_CUR)
                else:
                    f.write(piece)
        f.truncate()
    if whole.hexdigest() != meta["content_hash"]:
        raise Damage(key, f"its data have the hash {whole.hexdigest()}")


def decorate(meta, target, missing_mode, owner):
    posix, mode = posix_of(meta), meta.get("mode", missing_mode)
    if not os.path.lexists(target):
        return
    if owner:
        os.chown(target, meta.get("uid", 0), meta.get("gid", 0), follow_symlinks=False)
    for name, value in (meta.get("xattrs") or {}).items():
        os.setxattr(target, name, base64.b64decode(value), follow_symlinks=False)
    if mode is not None and posix.get("kind") != "symlink":
        os.chmod(target, mode)
    mtime = meta["mtime"] * 10 ** 9 + posix.get("mtime_nsec", 0)
    os.utime(target, ns=(mtime, mtime), follow_symlinks=False)


# ---------------------------------------------------------------- source trees: manifest and root

def tree(folder):
    """(relative path, full path, lstat) of everything under a folder, as bytes, sorted by path."""
    base = os.fsencode(folder)
    for path in sorted(os.path.relpath(os.path.join(d, n), base) for d, ds, fs in os.walk(base) for n in ds + fs):
        yield path, os.path.join(base, path), os.lstat(os.path.join(base, path))


def hash_file(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def xattrs(path):
    return {n: base64.b64encode(os.getxattr(path, n, follow_symlinks=False)).decode()
            for n in sorted(os.listxattr(path, follow_symlinks=False), key=os.fsencode)}


def lossless(path):
    """The name_b64 that the entry at a path needs, if any."""
    name = os.path.basename(path)
    return {} if is_utf8(name) else {"name_b64": base64.b64encode(name).decode()}


def manifest(folder):
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
             stat.S_IFSOCK: "socket", stat.S_IFCHR: "char", stat.S_IFBLK: "block"}
    first_names = {}
    for path, full, st in tree(folder):
        kind = kinds[stat.S_IFMT(st.st_mode)]
        line = {"path": file_id_of(path), "type": kind, "mode": f"{st.st_mode & 0o7777:04o}"} | lossless(path)
        line["mtime"], line["mtime_nsec"] = divmod(st.st_mtime_ns, 10 ** 9)
        if kind == "file":
            readable = os.access(full, os.R_OK)
            line |= {"size": st.st_size, "sha256": hash_file(full) if readable else None}
        if kind == "symlink":
            line["target"] = os.fsdecode(os.readlink(full))
        if kind in ("char", "block"):
            line |= {"rdev_major": os.major(st.st_rdev), "rdev_minor": os.minor(st.st_rdev)}
        if kind != "folder" and first_names.setdefault((st.st_dev, st.st_ino), line["path"]) != line["path"]:
            line["hardlink"] = first_names[st.st_dev, st.st_ino]
        if attributes := xattrs(full):
            line["xattrs"] = attributes
        yield line


def birth_time(path):
    """The whole seconds of btime by statx(2), 0 where the filesystem has none."""
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statx(-100, path, 0x100, 0x800, buffer):  # AT_FDCWD, NOFOLLOW, STATX_BTIME
        raise OSError(ctypes.get_errno(), "statx failed", os.fsdecode(path))
    return struct.unpack_from("<q", buffer, 80)[0] if struct.unpack_from("<I", buffer)[0] & 0x800 else 0


def inode_flags(path):
    """FS_IOC_GETFLAGS, 0 where it cannot be had."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return struct.unpack("<I", fcntl.ioctl(fd, 0x80086601, bytes(8))[:4])[0]
    except OSError:
        return 0
    finally:
        os.close(fd)


def source_metas(folder, args):
    """The filemeta of every entry of a source tree, as a backup of it must write them [6]."""
    names = {}
    for path, full, st in tree(folder):
        file_id, name = file_id_of(path), os.path.basename(path).decode("utf-8", "replace")
        parent, posix = file_id.rpartition("/")[0], lossless(path)
        is_folder, is_link = stat.S_ISDIR(st.st_mode), stat.S_ISLNK(st.st_mode)
        if not (is_folder or stat.S_ISREG(st.st_mode) or (is_link and args.as_cli and os.path.isfile(full))):
            raise Damage(file_id, "is not a regular file or folder")
        if is_link and os.stat(full).st_size > INLINE_MAX:
            raise Damage(file_id, f"is a link to more than {INLINE_MAX} bytes, which the CLI cuts")
        if not is_folder and names.setdefault((st.st_dev, st.st_ino), file_id) != file_id and not args.as_cli:
            raise Damage(file_id, f"is a hard link to {names[st.st_dev, st.st_ino]!r}")
        if posix and args.as_cli:
            raise Damage(file_id, "has a name that is not UTF-8, which the CLI loses")
        if st.st_mtime_ns % 10 ** 9 and not args.as_cli:
            posix["mtime_nsec"] = st.st_mtime_ns % 10 ** 9
        meta = {"version": 0, "fileId": file_id, "name": name, "type": "folder" if is_folder else "file",
                "parents": [parent] if parent else None, "content_hash": "", "size": 0,
                "mtime": st.st_mtime_ns // 10 ** 9, "owner": "", "extra": {"posix": posix} if posix else {},
                "mode": st.st_mode & 0o7777, "uid": st.st_uid, "gid": st.st_gid,
                "btime": 0 if args.no_btime else birth_time(full),
                "flags": 0 if args.no_flags else inode_flags(full), "xattrs": {} if args.no_xattrs else xattrs(full)}
        if not is_folder:
            digest = hash_file(full)
            meta |= {"content_hash": digest, "size": os.stat(full).st_size,
                     "content_ref": content_name(args.dedup_key, digest).split("/")[1]}
        yield parent, file_id, canonical(meta, "filemeta")


# ---------------------------------------------------------------- commands

def show(args, result, lines):
    clean = (re.sub("[\x00-\x1f\x7f]", "?", line) for line in lines)
    print(json.dumps(result, ensure_ascii=False, indent=1) if args.json else "\n".join(clean))


def open_repository(args):
    repo = Repository(args.repo, not args.no_footers, args.accept_plain)
    credentials = args.password, args.platform_key, args.recovery_words
    locked = args.function is cmd_info and repo.encrypted and not any(credentials)
    return repo, None if locked else repo.unlock(*credentials)


def cmd_info(args):
    repo, used = open_repository(args)
    if repo.catalog_problem:
        raise Damage("index/packs", repo.catalog_problem)
    locked = repo.encrypted and not used
    places = collections.Counter(e["p"] for e in repo.catalog.values())
    snapshots = sorted((dict(repo.load(k, "snapshot"), ref=k) for k in repo.keys("snapshot") if not locked),
                       key=lambda s: (s["seq"], s["ref"]))
    result = {
        "config": repo.config, "opened_with": used, "locked": locked,
        "slots": [{"key": k} | {f: v for f, v in s.items() if f != "wrapped_key"} for k, s in repo.slots.items()],
        "snapshots": [s | {"newest": s is previous(snapshots, s["source"])} for s in snapshots],
        "packs": [{"pack": p, "size": repo.files[p], "live": places[p],
                   "footer": p in repo.footers} for p in repo.keys("packs")],
        "objects": {k: {"packed": sum(x.startswith(k + "/") for x in repo.catalog),
                        "plain": sum(x.startswith(k + "/") for x in repo.files),
                        "only_footers": sum(x.startswith(k + "/") and x not in repo.catalog and x not in repo.files
                                            for x in repo.footer_places)} for k in KINDS},
        "catalog_entries": len(repo.catalog), "locks": list(repo.locks())}
    lines = [f"config    {json.dumps(repo.config)}" + ("  (locked: no credential given)" if locked else "")]
    lines += [f"slot      {k}" + ("  <- opened" if k == used else "") for k in repo.slots]
    lines += [f"snapshot  {s['seq']:>3}  {s['created']}  {s['ref'][9:25]}  {s['source']['type']}:"
              f"{s['source'].get('path', '')}  {' '.join(s.get('tags') or [])}"
              + "  <- newest of its source" * s["newest"] for s in result["snapshots"]]
    lines += [f"pack      {p['pack'][6:22]}  {p['size']:>9} bytes, {p['live']} live members, "
              f"{'a' if p['footer'] else 'no'} footer" for p in result["packs"]]
    lines += [f"{k:<9} {c['packed']} packed, {c['plain']} plain, {c['only_footers']} only in footers"
              for k, c in result["objects"].items()]
    lines += [f"catalog   {len(repo.catalog)} entries"]
    lines += [f"lock      {x['key']} ({x['stored']}): {x.get('problem') or json.dumps(x['lock'])}"
              for x in result["locks"]]
    show(args, result, lines)
    return 0


def cmd_verify(args):
    repo, used = open_repository(args)
    result = Verifier(repo, args.boundaries).run()
    result |= {"ok": result["ok"] and not (args.strict and result["notes"]), "opened_with": used}
    lines = [f"{kind[:-1]:<6} {e['object']}: {e['problem']}" for kind in ("errors", "notes") for e in result[kind]]
    lines += [f"tree   {t['snapshot'][:25]}  seq {t['seq']}, {t['entries']} entries, "
              f"{'' if t['sound'] else 'NOT '}sound, {'' if t['canonical'] else 'NOT '}canonical"
              for t in result["snapshots"]]
    lines += ["checked " + ", ".join(f"{n} {k}" for k, n in sorted(result["checked"].items()))
              + f"; unreferenced {sum(result['unreferenced'].values())}; {len(result['packs'])} packs with "
              f"{sum(p['dead_bytes'] for p in result['packs'])} dead bytes"]
    lines += [f"footers alone find {result['only_footers']['reachable']} reachable objects"
              + ("" if repo.use_footers else " (not looked at)")]
    lines += [f"{'' if result['ok'] else 'NOT '}sound: {len(result['errors'])} errors, {len(result['notes'])} notes"]
    show(args, result, lines)
    return 0 if result["ok"] else 1


def cmd_restore(args):
    repo, _ = open_repository(args)
    ref = repo.snapshot_named(args.snapshot)
    count, problems = restore(repo, ref, args.outdir, args.owner)
    show(args, {"ok": not problems, "snapshot": ref, "entries": count, "errors": problems},
         [f"error  {p['object']}: {p['problem']}" for p in problems] + [f"{count} entries of {ref}"])
    return 1 if problems else 0


def cmd_manifest(args):
    for line in manifest(args.dir):
        print(json.dumps(line))
    return 0


def cmd_root(args):
    entries = []
    for parent, file_id, meta in source_metas(args.dir, args):
        ref = "filemeta/" + sha(meta.encode())
        entries.append({"key": file_id, "path_key": path_key(parent, file_id), "filemeta": ref})
        if args.entries:
            print(ref, meta)
    root = build(entries)
    show(args, {"root": root, "entries": len(entries)}, [root])
    return 0


def cmd_chunks(args):
    with open(args.file, "rb") as f:
        lengths = list(chunk_lengths(f.read(), gear(args.seed_from_dedup_key)))
    show(args, lengths, map(str, lengths))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, text, *positional):
        sub = commands.add_parser(function.__name__.removeprefix("cmd_"), help=text, description=text)
        sub.set_defaults(function=function)
        sub.add_argument("--json", action="store_true", help="print JSON")
        for name in positional:
            sub.add_argument(name, metavar=name.upper())
        if "repo" in positional:
            for option in ("--password", "--platform-key", "--recovery-words"):
                sub.add_argument(option)
            sub.add_argument("--no-footers", action="store_true", help="ignore pack footers, as the CLI does")
            sub.add_argument("--accept-plain", action="store_true",
                             help="read objects that are not encrypted in an encrypted repository")
        return sub

    command(cmd_info, "what is in a repository", "repo")
    verify = command(cmd_verify, "check every invariant of the format", "repo")
    verify.add_argument("--strict", action="store_true", help="notes count as errors")
    verify.add_argument("--boundaries", action="store_true", help="check that chunks are those of the chunker (slow)")
    command(cmd_restore, "write a snapshot (latest, or the beginning of a hash) to a new folder",
            "repo", "snapshot", "outdir").add_argument("--owner", action="store_true", help="restore uid and gid too")
    command(cmd_manifest, "one JSON line for every entry of a folder, sorted by path", "dir")
    root = command(cmd_root, "the root reference that a backup of a folder must have", "dir")
    root.add_argument("--no-flags", action="store_true", help="as if the source gave no inode flags")
    root.add_argument("--no-xattrs", action="store_true", help="... no extended attributes")
    root.add_argument("--no-btime", action="store_true", help="... no birth times")
    root.add_argument("--as-cli", action="store_true", help="as the CLI: follow links to files, cut mtimes to seconds")
    root.add_argument("--dedup-key", metavar="HEX", type=bytes.fromhex, help="for an encrypted repository")
    root.add_argument("--entries", action="store_true", help="print the filemeta of every entry first")
    command(cmd_chunks, "the lengths of the chunks that the chunker makes of a file (none: stored inline)",
            "file").add_argument("--seed-from-dedup-key", metavar="HEX", type=bytes.fromhex, help="keyed boundaries")
    args = parser.parse_args()
    sys.stdout.reconfigure(errors="surrogateescape")
    try:
        return args.function(args)
    except (Damage, OSError, *MALFORMED) as why:
        key = getattr(why, "key", None) or str(getattr(why, "filename", None) or "")
        problem = getattr(why, "problem", None) or f"{type(why).__name__}: {why}"
        show(args, {"ok": False, "errors": [{"object": key, "problem": problem}]}, [f"error  {key}: {problem}"])
    return 1


if __name__ == "__main__":
    sys.exit(main())
