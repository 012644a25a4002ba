"""`X_file` beside `X`: the value is read from the file, the line end at its end left out."""

from pathlib import Path
from typing import Any

from rtserver.config.problem import Loc, Problem, dotted
from rtserver.config.shape import as_model, child, is_list, twins


def read_secret_files(annotation: Any, data: Any, problems: list[Problem], loc: Loc = ()) -> None:
    """Fill every `X` of `data` that has only an `X_file`, in place. `annotation` is the schema of `data`.

    Both at once, and files that cannot be read, are added to `problems`. For a list each line of the file
    that is not blank is an item.
    """
    if isinstance(data, list):
        for index, item in enumerate(data):
            read_secret_files(child(annotation, index), item, problems, (*loc, index))
    model = as_model(annotation)
    if not isinstance(data, dict):
        return
    if model is not None:
        for key, file_key in twins(model):
            _fill(data, key, file_key, is_list(child(model, key)), problems, loc)
    for key, value in data.items():
        read_secret_files(child(annotation, key), value, problems, (*loc, key))


def _fill(
    data: dict[str, Any], key: str, file_key: str, many: bool, problems: list[Problem], loc: Loc
) -> None:
    name = data.get(file_key)
    if not isinstance(name, str | Path) or not str(name):
        return
    if data.get(key) not in (None, [], ()):
        problems.append(Problem(dotted((*loc, file_key)), f"cannot be given together with {key}"))
        return
    try:
        text = Path(name).read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.append(
            Problem(dotted((*loc, file_key)), f"{name} cannot be read: {error.strerror or error}")
        )
    except ValueError:
        problems.append(Problem(dotted((*loc, file_key)), f"{name} is not UTF-8 text"))
    else:
        data[key] = (
            [line.strip() for line in text.splitlines() if line.strip()] if many else text.rstrip("\r\n")
        )
