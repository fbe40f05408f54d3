"""Make the environment in which the real trainers and tools call the adapters:

    python tests/contracts/make_callers.py DIRECTORY [--more]
    ASSAY_CALLERS=DIRECTORY pytest -m slow tests/contracts/test_real_callers.py

It holds what callers.txt pins (with --more callers_more.txt too, which is large), without dependencies; everything
else it takes from the environment of the Python that runs this file, whose packages stay as they are.

"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).parent


def make(place: Path, *files: str) -> None:
    venv.EnvBuilder(with_pip=False, symlinks=True).create(place)
    python = place / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--disable-pip-version-check", "--no-compile"]
    install += [f"--requirement={HERE / file}" for file in files]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    packages = place / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    # Read as code, so that the links of that environment (an editable Assay) are followed too.
    (packages / "assay_environment.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]), "callers.txt", *(["callers_more.txt"] if "--more" in sys.argv else []))
