"""Build and metadata of mosq. pyproject.toml holds the settings of the tools only."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """The version stands once, in mosq/__init__.py."""
    found = re.search(r'^__version__ = "(.+)"$', (HERE / "mosq/__init__.py").read_text(), re.MULTILINE)
    if not found:
        raise SystemExit("setup.py: no __version__ in mosq/__init__.py")
    return found[1]


setup(
    name="mosq",
    version=version(),
    description="An MQTT 3.1, 3.1.1 and 5.0 broker that takes the place of Eclipse Mosquitto",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Communications",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["mosq", "mosq.*"]),
    # Said although it is the default: an editable install is then one path in a .pth file instead of an import hook,
    # which would cost the broker a megabyte and every start its import.
    package_dir={"": "."},
    package_data={"mosq": ["py.typed"]},
    cffi_modules=["csrc/build_core.py:ffibuilder"],
    zip_safe=False,
    # The lower bounds are what Debian 12 ships.
    install_requires=[
        "cffi>=1.15.1",  # the C core
        "configobj>=5.0.8",  # validation of mosquitto.conf
        "h11>=0.14.0",  # the HTTP part of WebSockets, loaded when there is one
        "pyopenssl>=23.0.0",  # TLS, loaded when a listener has it
        "setproctitle>=1.3.1",  # the process shows as mosquitto
    ],
    extras_require={
        "argon2": ["argon2-cffi>=21.1.0"],  # passwords hashed with argon2id, loaded when a password file has one
        "test": [
            "argon2-cffi>=21.1.0",
            "docutils>=0.19",
            "hypothesis>=6",
            "paho-mqtt>=2",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
        ],
        "man": ["docutils>=0.19"],  # the manual pages, from reStructuredText
        "lint": ["mypy>=1.11", "ruff>=0.6", "types-cffi"],
    },
    entry_points={
        "console_scripts": [
            "mosquitto = mosq.cli.broker:entry",
            "migrate_to_persist_sqlite = mosq.cli.migrate:entry",
            "mosquitto_db_dump = mosq.cli.db_dump:entry",
            "mosquitto_passwd = mosq.cli.passwd:entry",
            "mosquitto_pub = mosq.cli.pub:entry",
            "mosquitto_rr = mosq.cli.rr:entry",
            "mosquitto_sub = mosq.cli.sub:entry",
        ]
    },
)
