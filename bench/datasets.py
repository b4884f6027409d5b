"""The data sets: always the same bytes, made once, and set back before each run.

Set 1 is few and large: 500 MB random, 500 MB zeros, 50 documents of 1 MB, 100 files of 1 KB.
Set 2 is many and small: 100,000 files of 0.2 to 8 KB in 1,000 folders.
"""
import os
import random
import shutil

MB = 1_000_000
WORDS = ("the backup of a folder is a promise that each file in it comes back as it was whatever happens to the disk "
         "between today and the day on which somebody needs it again").split()
MTIME = 1_704_067_200


class DataSet:
    def __init__(self, work, number, scale):
        self.number, self.scale = number, scale
        self.path = os.path.join(work, f"set-{number}")
        self.extra = os.path.join(self.path, "extra")
        self.copy = os.path.join(self.path, "copy")
        self.changing = os.path.join(self.path, "documents/00.txt" if number == 1 else "000/050")

    def make(self):
        """Makes it, unless it is there already."""
        done = f"{self.path}.made-{self.scale}"
        if not os.path.exists(done):
            print(f"making data set {self.number} in {self.path}", flush=True)
            shutil.rmtree(self.path, ignore_errors=True)
            self._large() if self.number == 1 else self._small()
            open(done, "w").close()
        self.reset()

    def reset(self):
        """Undoes what the steps did."""
        for folder in (self.extra, self.copy):
            shutil.rmtree(folder, ignore_errors=True)
        write(self.changing, self._changing_bytes())
        os.utime(self.changing, (MTIME, MTIME))

    def change_one_file(self):
        with open(self.changing, "ab") as f:
            f.write(b"one more line\n")

    def add(self):
        """200 MB more."""
        size = int(200 * MB * self.scale)
        write_random(os.path.join(self.extra, "random.bin"), size, seed=200)

    def duplicate(self):
        """The whole tree once more, beside itself."""
        shutil.copytree(self.path, self.copy, ignore=lambda folder, names: {"copy"} if folder == self.path else set())

    def files_and_bytes(self, folder=None):
        count = total = 0
        for path, _, names in os.walk(folder or self.path):
            for name in names:
                count, total = count + 1, total + os.lstat(os.path.join(path, name)).st_size
        return count, total

    def _large(self):
        write_random(os.path.join(self.path, "random.bin"), int(500 * MB * self.scale), seed=1)
        os.makedirs(self.path, exist_ok=True)
        with open(os.path.join(self.path, "zeros.bin"), "wb") as f:
            for _ in range(int(500 * self.scale)):
                f.write(bytes(MB))
        for i in range(50):
            write(os.path.join(self.path, f"documents/{i:02}.txt"), text(i, MB))
        for i in range(100):
            write(os.path.join(self.path, f"small/{i:02}.txt"), text(1000 + i, 1000))

    def _small(self):
        for folder in range(int(1000 * self.scale) or 1):
            for i in range(100):
                seed = folder * 100 + i
                write(os.path.join(self.path, f"{folder:03}/{i:03}"), self._small_bytes(seed))

    def _small_bytes(self, seed):
        size = random.Random(seed).randint(200, 8000)
        return text(seed, size) if seed % 2 else random.Random(-seed).randbytes(size)

    def _changing_bytes(self):
        return text(0, MB) if self.number == 1 else self._small_bytes(50)


def text(seed, size):
    """Words in an order that never repeats: compresses like prose, and no two files are alike."""
    chosen = random.Random(seed).choices(WORDS, k=size // 3)
    return " ".join(chosen).encode()[:size].ljust(size, b".")


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def write_random(path, size, seed):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    generator = random.Random(seed)
    with open(path, "wb") as f:
        while size > 0:
            f.write(generator.randbytes(min(size, MB)))
            size -= MB
