"""Arguments of motor's methods, checked and brought into the form that the runtime takes."""

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from mozaiks.errors import Unsupported

Filter = Optional[Mapping[str, Any]]
Projection = Union[Mapping[str, Any], Iterable[str], None]
Sort = Union[str, Mapping[str, Any], Iterable[Union[str, Tuple[str, Any]]], None]

ArrayFilters = Optional[Iterable[Mapping[str, Any]]]


Keys = Union[str, Mapping[str, Any], Iterable[Union[str, Tuple[str, Any]]]]

_INDEX_OPTIONS = ("name", "unique", "sparse", "expireAfterSeconds")


def index_keys(value: Keys) -> Dict[str, Any]:
    """``"name"``, ``[("name", -1), "other"]`` or a mapping."""
    keys = sort(value)
    if not keys:
        raise ValueError("an index needs at least one name")
    return keys


def index_name(keys: Mapping[str, Any]) -> str:
    """The name that drivers give: ``name_1_other_-1``."""
    return "_".join(f"{name}_{direction}" for name, direction in keys.items())


def index(keys: Keys, options: Mapping[str, Any]) -> Dict[str, Any]:
    """An index as the runtime takes it."""
    others = {name: value for name, value in options.items() if name not in _INDEX_OPTIONS}
    refuse("create_index", others, ("background",))
    document = index_keys(keys)
    result: Dict[str, Any] = {"key": document, "name": options.get("name") or index_name(document)}
    for name in _INDEX_OPTIONS[1:]:
        if options.get(name) is not None and options[name] is not False:
            result[name] = options[name]
    return result


def array_filters(value: Iterable[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """What ``$[name]`` stands for in an update: a list of mappings."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"array_filters must be a list, not {type(value).__name__}")
    return [mapping("each of array_filters", item) for item in value]


def pipeline(value: Iterable[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """The stages of an aggregation: a list of mappings."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"pipeline must be a list, not {type(value).__name__}")
    return [mapping("each stage of a pipeline", item) for item in value]


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """A filter or an update: a mapping, and nothing else that happens to be false."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping such as dict, not {type(value).__name__}")
    return value


def projection(value: Projection) -> Optional[Dict[str, Any]]:
    """A mapping, or a list of the names to include."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        raise TypeError("projection must be a mapping or a list of names, not str")
    names = list(value)
    # An empty list means: nothing but the id.
    return {name: 1 for name in names} if names else {"_id": 1}


def sort(value: Sort, direction: Optional[Any] = None) -> Optional[Dict[str, Any]]:
    """``"name"``, ``"name", -1``, ``[("name", -1), "other"]`` or a mapping."""
    if value is None:
        return None
    if isinstance(value, str):
        return {value: 1 if direction is None else direction}
    if direction is not None:
        raise TypeError("with a direction, sort takes one name")
    if isinstance(value, Mapping):
        return dict(value)
    pairs: List[Tuple[str, Any]] = [
        (item, 1) if isinstance(item, str) else (item[0], item[1]) for item in value
    ]
    if not pairs:
        raise ValueError("sort needs at least one name")
    return dict(pairs)


def names(value: Filter) -> Optional[List[str]]:
    """The names that a filter of ``list_collection_names()`` asks for; None: all of them."""
    if value is None or not mapping("filter", value):
        return None
    others = [field for field in value if field != "name"]
    if others:
        raise Unsupported(f"list_collection_names() filters by 'name' alone, not by {others[0]!r}")
    wanted = value["name"]
    if isinstance(wanted, Mapping) and len(wanted) == 1:
        ((operator, wanted),) = wanted.items()
        if operator not in ("$eq", "$in"):
            raise Unsupported(f"list_collection_names() knows $eq and $in alone, not {operator!r}")
        if operator == "$in" and isinstance(wanted, (list, tuple)):
            found = list(wanted)
        else:
            found = [wanted]
    else:
        found = [wanted]
    for name in found:
        if not isinstance(name, str):
            raise Unsupported(f"list_collection_names() compares names with text, not with {name!r}")
    return found


def batch_size(value: Any) -> int:
    """Of a cursor: checked, and then the runtime chooses its batches all the same."""
    return count("batch_size", value)


def count(name: str, value: Any) -> int:
    """skip or limit: an integer that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} must not be negative")
    return value


def limit(value: Any) -> int:
    """Like ``count()``; a negative limit means "so many, in one batch" to drivers."""
    return count("limit", -value if isinstance(value, int) and value < 0 else value)


_HARMLESS = frozenset(("comment", "batch_size", "max_time_ms", "maxTimeMS"))

# Why an option that drivers know is refused.
_REASONS = {
    "hint": "the runtime chooses the index",
    "collation": "text is compared by its bytes",
    "let": "there are no variables",
    "session": "there are no transactions",
}


def refuse(method: str, options: Mapping[str, Any], ignored: Iterable[str] = ()) -> None:
    """Options that change the meaning of a call must not be dropped silently."""
    for name, value in options.items():
        if value is None or value is False or name in _HARMLESS or name in ignored:
            continue
        if name in _REASONS:
            raise Unsupported(f"{method}() does not take the option {name!r}: {_REASONS[name]}")
        raise Unsupported(f"{method}() does not know the option {name!r}")


_CONCERNS = ("write_concern", "read_concern", "read_preference", "codec_options")


def ignore_concerns(method: str, options: Mapping[str, Any]) -> None:
    """What drivers ask of servers has one answer here; how values are read is not to be chosen."""
    refuse(method, options, _CONCERNS)


def operators(method: str, value: Any) -> Mapping[str, Any]:
    """The update of a method that takes update operators only."""
    if isinstance(value, (list, tuple)):
        raise Unsupported(f"{method}() does not take a pipeline")
    update = mapping("update", value)
    if not update or not all(isinstance(k, str) and k.startswith("$") for k in update):
        raise ValueError("update only works with $ operators")
    return update


def replacement(value: Any) -> Mapping[str, Any]:
    """A whole document, without update operators."""
    document = mapping("replacement", value)
    if any(isinstance(k, str) and k.startswith("$") for k in document):
        raise ValueError("replacement can not include $ operators")
    return document
