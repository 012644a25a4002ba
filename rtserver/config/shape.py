"""The schema seen as a tree: what lies at a place, and which keys it knows."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from rtserver.config.problem import Loc


def model_at(root: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """Find the model that describes the mapping at `loc`; None when there is none."""
    annotation: Any = root
    for step in loc:
        annotation = child(annotation, step)
    return as_model(annotation)


def child(annotation: Any, step: str | int) -> Any:
    """Step down from `annotation` by a key or position; None when nothing lies there."""
    model = as_model(annotation)
    if model is not None:
        field = model.model_fields.get(str(step))
        return field.annotation if field else None
    inner = _bare(annotation)
    if get_origin(inner) is tuple and isinstance(step, int):
        return get_args(inner)[0]
    return get_args(inner)[1] if get_origin(inner) is Mapping else None


def as_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model an annotation names, also behind `Annotated` and `| None`; None without one."""
    inner = _bare(annotation)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def is_list(annotation: Any) -> bool:
    """Tell whether an annotation stands for a list, also behind `Annotated` and `| None`."""
    return get_origin(_bare(annotation)) is tuple


def twins(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the pairs (key, key_file) of `model`."""
    for name in model.model_fields:
        if name.endswith("_file") and name.removesuffix("_file") in model.model_fields:
            yield name.removesuffix("_file"), name


def places_of(root: type[BaseModel], key: str, above: Loc = ()) -> Iterator[Loc]:
    """Yield every place below `root`, outside of lists, where a key of this name belongs."""
    for name, field in root.model_fields.items():
        if name == key:
            yield (*above, name)
        model = as_model(field.annotation)
        if model is not None:
            yield from places_of(model, key, (*above, name))


def _bare(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            options = [option for option in get_args(annotation) if option is not NoneType]
            if len(options) != 1:
                return annotation
            annotation = options[0]
        else:
            return annotation
