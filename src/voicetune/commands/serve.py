"""The command `serve`: voices over HTTP."""

import argparse
import sys
from functools import partial
from typing import Annotated

from pydantic import Field

from voicetune.commands import options
from voicetune.device import choose_device
from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.speaking import Tries

_MOST_ON_WINDOWS = 450  # connections; the event loop there waits for 512 sockets


class Serving(reading.Section):
    """Arguments of `serve`."""

    port: Annotated[int, Field(ge=0, le=65535, examples=[8020])]
    allow_host: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", examples=["voice.example.org"])]]
    tries: Tries
    limit_characters: Annotated[int, Field(ge=1, le=1_000_000, examples=[4096])]
    limit_client: Annotated[int, Field(ge=1, le=100_000, examples=[16])]
    limit_connections: Annotated[int, Field(ge=1, le=100_000, examples=[200])]
    limit_waiting: Annotated[int, Field(ge=1, le=100_000, examples=[128])]
    limit_seconds: Annotated[float, Field(gt=0, le=86_400, examples=[60])]
    limit_drain: Annotated[float, Field(ge=1, le=86_400, examples=[30])]


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("serve", help="speak for other programs, over HTTP, in the form of OpenAI's API")
    command.add_argument(
        "--voice", action="append", metavar="NAME",
        help="a kept voice (`voicetune voices` lists them); or a model's folder: FOLDER, or NAME=FOLDER to give its"
        " voice this name; can be given several times (default: models/voice)",
    )  # fmt: skip
    command.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="where to listen; 0.0.0.0 lets other machines ask, too (default: 127.0.0.1, this machine only)",
    )  # fmt: skip
    command.add_argument("--port", type=int, default=8020, help="0 takes one that is free (default: 8020)")
    command.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a host name under which a proxy asks for a service that has no key (docs/serving.md); can be given"
        " several times",
    )  # fmt: skip
    options.add_checks(command)
    options.add_device(command)
    limit = partial(command.add_argument, metavar="N")
    limit("--limit-characters", type=int, default=4096, help="refuse a text of more characters (default: 4096)")
    limit("--limit-client", type=int, default=16, help="how many texts of one client may wait (default: 16)")
    limit("--limit-waiting", type=int, default=128, help="how many texts may wait in all (default: 128)")
    limit("--limit-connections", type=int, default=200, help="how many connections may be open (default: 200)")
    limit("--limit-seconds", type=float, default=60, help="most seconds for a part, with waiting (default: 60)")
    limit("--limit-drain", type=float, default=30, help="seconds to finish what has begun, when stopped (default: 30)")
    options.add_watermark(command)
    command.set_defaults(run=serve)


def serve(arguments: argparse.Namespace) -> None:
    """Serve voices over HTTP."""
    given = {name: getattr(arguments, name) for name in Serving.model_fields}
    reading.check(Serving, given, options.COMMAND_LINE)
    if sys.platform == "win32" and arguments.limit_connections > _MOST_ON_WINDOWS:
        raise UserError(
            f"--limit-connections is {arguments.limit_connections}; on Windows, give {_MOST_ON_WINDOWS} or fewer."
        )
    if not arguments.voice:
        options.check_model(options.VOICE)
    from voicetune.service import command  # torch and a web server: not needed for --help
    from voicetune.service.queue import Limits

    limits = Limits(
        arguments.limit_characters, arguments.limit_client, arguments.limit_waiting, arguments.limit_seconds,
        arguments.limit_connections,
    )  # fmt: skip
    command.run(
        arguments.voice or [str(options.VOICE)], arguments.host, arguments.port, choose_device(arguments.device),
        options.read_checks(arguments), limits, arguments.limit_drain, arguments.watermark,
        arguments.allow_host,
    )  # fmt: skip
