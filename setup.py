"""What Tagline is made of and what it needs; the tools are configured in pyproject.toml.

The lower bounds are what it was built and measured with. Why each is needed: docs/dependencies.md.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

REQUIRES = [
    "aiohttp>=3.14",
    "aiosql>=15.0",
    "aiosqlite>=0.22",
    "argon2-cffi>=25.1",
    "defusedxml>=0.7",
    "msgspec>=0.22",
    "pathspec>=1.1",
    "pillow>=13.0",
    "pyjwt>=2.15",
    "python-socketio>=5.18",
    "segno>=1.6",
    "tqdm>=4.70",
    "watchfiles>=1.3",
    "yoyo-migrations>=9.0",
    "zeroconf>=0.154",
]

EXTRAS = {
    # Its wheel carries x265 (GPL), so it stays a choice: docs/dependencies.md.
    "heif": ["pillow-heif>=1.8"],
    "test": [
        "hypothesis>=6.170",
        "openapi-spec-validator>=0.9",
        "playwright>=1.60",
        "psutil>=7.2",
        "pytest>=9.2",
        "pytest-aiohttp>=1.1",
        "pytest-cov>=7.1",
        "pytest-timeout>=2.4",
        "pytest-xdist>=3.8",
        "setuptools>=68.0",
        "tuspy>=1.1",
    ],
    "dev": [
        "mypy>=2.4",
        "pre-commit>=4.7",
        "ruff>=0.17",
    ],
}


def version() -> str:
    """The version as `tagline/__init__.py` states it, read without importing the package."""
    found = re.search(r'^__version__ = "([^"]+)"$', (HERE / "tagline/__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("tagline/__init__.py states no __version__")
    return found.group(1)


setup(
    name="tagline",
    version=version(),
    description="A home server for photos and the words that go with them",
    python_requires=">=3.11",
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    # The SQL lies beside the code in the tree, and inside the package once installed.
    packages=[*find_packages(include=["tagline", "tagline.*"]), "tagline.sql"],
    package_dir={"tagline": "tagline", "tagline.sql": "sql"},
    package_data={"tagline": ["web/**"], "tagline.sql": ["queries/*.sql", "migrations/*.sql"]},
    entry_points={"console_scripts": ["tagline = tagline.__main__:main"]},
    zip_safe=False,
)
