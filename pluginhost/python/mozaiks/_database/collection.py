"""One collection of the plugin."""

from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    MutableMapping,
    NoReturn,
    Optional,
    Tuple,
    Union,
)

from bson import ObjectId

import _mozaiks
from mozaiks import _client
from mozaiks._database import arguments
from mozaiks._database.arguments import ArrayFilters, Filter, Keys, Projection, Sort
from mozaiks._database.bulk import Bulk, Write, write_error
from mozaiks._database.cursor import CommandCursor, Cursor, Document
from mozaiks._database.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)
from mozaiks.errors import (
    MessageTooLarge,
    Unsupported,
    from_fields,
)
from pymongo.errors import BulkWriteError
from pymongo.operations import IndexModel

if TYPE_CHECKING:
    from mozaiks._database.database import Database

Update = Mapping[str, Any]


class Collection:
    """Documents of this plugin, under a name of its own choice.

    Within a call every method sees the documents of the calling user only; the runtime adds
    ``user_id`` to filters and documents by itself. Code outside of calls sees those without one.
    """

    def __init__(self, name: str, all_users: bool = False) -> None:
        if not isinstance(name, str):
            raise TypeError("the name of a collection must be text")
        self._name = name
        self._all_users = all_users

    @property
    def _target(self) -> Dict[str, Any]:
        """The beginning of every command: which documents it is about."""
        target: Dict[str, Any] = {"collection": self._name}
        if self._all_users:
            target["all_users"] = True
        return target

    @property
    def name(self) -> str:
        """The name the plugin uses."""
        return self._name

    @property
    def full_name(self) -> str:
        """``database.collection``, as drivers print it."""
        return f"{self.database.name}.{self._name}"

    @property
    def database(self) -> "Database":
        """The plugin's database."""
        from mozaiks._database.database import Database

        return Database(self._all_users)

    def with_options(self, **options: Any) -> "Collection":
        """The same: every write is acknowledged when it is durable, every read sees it."""
        arguments.ignore_concerns("with_options", options)
        return self

    def __repr__(self) -> str:
        return f"Collection({self._name!r}{', all_users=True' if self._all_users else ''})"

    def __getitem__(self, name: str) -> "Collection":
        if not isinstance(name, str):
            raise TypeError("the name of a collection must be text")
        return Collection(f"{self._name}.{name}", self._all_users)

    # Or Python would take collection[0], collection[1], … for what is in it.
    __iter__ = None
    __contains__ = None

    def __getattr__(self, name: str) -> "Collection":
        if name.startswith("_"):
            raise AttributeError(f"use collection[{name!r}] for a collection of that name")
        return self[name]

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        method = self._name.rpartition(".")[2]
        raise Unsupported(f"collections have no method {method}()")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Collection)
            and other._name == self._name
            and other._all_users == self._all_users
        )

    def __hash__(self) -> int:
        return hash((self._name, self._all_users))

    # ---- reading ----

    def find(
        self,
        filter: Filter = None,
        projection: Projection = None,
        skip: int = 0,
        limit: int = 0,
        sort: Sort = None,
        **options: Any,
    ) -> Cursor:
        """The documents that match, as a cursor."""
        arguments.refuse("find", options, ("no_cursor_timeout", "allow_disk_use"))
        command: Dict[str, Any] = {**self._target}
        if filter is not None:
            command["filter"] = arguments.mapping("filter", filter)
        command["projection"] = arguments.projection(projection)
        command["sort"] = arguments.sort(sort)
        if skip:
            command["skip"] = arguments.count("skip", skip)
        if limit:
            command["limit"] = arguments.limit(limit)
        return Cursor(command)

    async def find_one(
        self,
        filter: Any = None,
        projection: Projection = None,
        skip: int = 0,
        sort: Sort = None,
        **options: Any,
    ) -> Optional[Document]:
        """The first document that matches, or None. Anything but a mapping is taken as its id."""
        if filter is not None and not isinstance(filter, Mapping):
            filter = {"_id": filter}
        cursor = self.find(filter, projection, skip, 1, sort, **options)
        documents = await cursor.to_list(None)
        return documents[0] if documents else None

    async def count_documents(
        self, filter: Mapping[str, Any], skip: int = 0, limit: int = 0, **options: Any
    ) -> int:
        """How many documents match."""
        arguments.refuse("count_documents", options)
        command: Dict[str, Any] = {
            **self._target,
            "filter": arguments.mapping("filter", filter),
        }
        if skip:
            command["skip"] = arguments.count("skip", skip)
        if limit:
            command["limit"] = arguments.count("limit", limit)
        result = await _client.request(_mozaiks.DATABASE_COUNT, _client.BSON, command)
        return int(result["n"])

    async def estimated_document_count(self, **options: Any) -> int:
        """How many documents the caller has here; counted, not estimated."""
        return await self.count_documents({}, **options)

    async def distinct(self, key: str, filter: Filter = None, **options: Any) -> List[Any]:
        """The different values of a field."""
        arguments.refuse("distinct", options)
        command: Dict[str, Any] = {**self._target, "field": key}
        if filter is not None:
            command["filter"] = arguments.mapping("filter", filter)
        result = await _client.request(_mozaiks.DATABASE_DISTINCT, _client.BSON, command)
        values: List[Any] = result["values"]
        return values

    def aggregate(self, pipeline: Iterable[Mapping[str, Any]], **options: Any) -> CommandCursor:
        """What the stages make of the documents, as a cursor."""
        arguments.refuse("aggregate", options, ("batchSize", "allowDiskUse", "allow_disk_use"))
        stages = arguments.pipeline(pipeline)
        return CommandCursor(
            _mozaiks.DATABASE_AGGREGATE, {**self._target, "pipeline": stages}
        )

    # ---- inserting ----

    async def insert_one(
        self, document: MutableMapping[str, Any], **options: Any
    ) -> InsertOneResult:
        """Inserts a document, which gets an ``_id`` when it has none."""
        arguments.refuse("insert_one", options, ("bypass_document_validation",))
        self.identify(document)
        result = await self._insert([document], True)
        for error in result.get("errors", ()):
            raise from_fields(error)
        return InsertOneResult(document["_id"])

    async def insert_many(
        self,
        documents: Iterable[MutableMapping[str, Any]],
        ordered: bool = True,
        **options: Any,
    ) -> InsertManyResult:
        """Inserts documents; ``ordered`` stops at the first that fails."""
        arguments.refuse("insert_many", options, ("bypass_document_validation",))
        batch = list(documents)
        if not batch:
            raise TypeError("documents must be a non-empty list")
        inserted, errors = await self.insert_batch(batch, 0, ordered)
        if errors:
            raise BulkWriteError(
                {
                    **BulkWriteResult(inserted_count=inserted).bulk_api_result,
                    "writeErrors": errors,
                    "writeConcernErrors": [],
                }
            )
        return InsertManyResult([document["_id"] for document in batch])

    async def insert_batch(
        self, documents: List[Any], first: int, ordered: bool
    ) -> Tuple[int, List[Dict[str, Any]]]:
        """Of ``insert_many()`` and ``bulk_write()``: how many went in, and which did not.

        ``first`` is the place of the first document in the whole list.
        """
        for document in documents:
            self.identify(document)
        errors = await self._insert_batch(documents, first, ordered)
        if errors and ordered:
            return int(errors[0]["index"]) - first, errors
        return len(documents) - len(errors), errors

    @staticmethod
    def identify(document: Any) -> None:
        """Gives a document an ``_id``."""
        if not isinstance(document, MutableMapping):
            raise TypeError(f"document must be a dict, not {type(document).__name__}")
        if "_id" not in document:
            document["_id"] = ObjectId()

    async def _insert(self, documents: List[Any], ordered: bool) -> Dict[str, Any]:
        result: Dict[str, Any] = await _client.request(
            _mozaiks.DATABASE_INSERT,
            _client.BSON,
            {**self._target, "documents": documents, "ordered": ordered},
        )
        return result

    async def _insert_batch(
        self, documents: List[Any], first: int, ordered: bool
    ) -> List[Dict[str, Any]]:
        """Inserts, in halves when the documents do not fit one message. Returns the errors."""
        try:
            result = await self._insert(documents, ordered)
        except MessageTooLarge:
            if len(documents) == 1:
                raise
        else:
            return [
                {
                    "index": first + int(error["index"]),
                    **write_error(error.get("code"), error.get("message", ""), error),
                    "op": documents[int(error["index"])],
                }
                for error in result.get("errors", ())
            ]
        middle = len(documents) // 2
        errors = await self._insert_batch(documents[:middle], first, ordered)
        if not (errors and ordered):
            errors += await self._insert_batch(documents[middle:], first + middle, ordered)
        return errors

    # ---- changing ----

    async def update_one(
        self,
        filter: Mapping[str, Any],
        update: Update,
        upsert: bool = False,
        array_filters: ArrayFilters = None,
        sort: Sort = None,
        **options: Any,
    ) -> UpdateResult:
        """Changes the first document that matches, in the order of ``sort``, by update operators
        such as ``$set``.
        """
        arguments.refuse("update_one", options, ("bypass_document_validation",))
        return await self.write_update(
            filter,
            arguments.operators("update_one", update),
            bool(upsert),
            False,
            array_filters,
            sort,
        )

    async def update_many(
        self,
        filter: Mapping[str, Any],
        update: Update,
        upsert: bool = False,
        array_filters: ArrayFilters = None,
        **options: Any,
    ) -> UpdateResult:
        """Changes all documents that match, by update operators such as ``$set``."""
        arguments.refuse("update_many", options, ("bypass_document_validation",))
        return await self.write_update(
            filter, arguments.operators("update_many", update), bool(upsert), True, array_filters
        )

    async def replace_one(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool = False,
        sort: Sort = None,
        **options: Any,
    ) -> UpdateResult:
        """Puts a document in the place of the first that matches, in the order of ``sort``; its
        ``_id`` stays.
        """
        arguments.refuse("replace_one", options, ("bypass_document_validation",))
        return await self.write_update(
            filter, arguments.replacement(replacement), bool(upsert), False, sort=sort
        )

    @staticmethod
    def update_fields(
        filter: Mapping[str, Any],
        update: Update,
        upsert: bool,
        multi: bool,
        array_filters: ArrayFilters = None,
        sort: Sort = None,
    ) -> Dict[str, Any]:
        """An update as the runtime takes it."""
        fields: Dict[str, Any] = {
            "filter": arguments.mapping("filter", filter),
            "update": update,
            "multi": multi,
            "upsert": bool(upsert),
        }
        if array_filters is not None:
            fields["array_filters"] = arguments.array_filters(array_filters)
        if sort is not None:
            fields["sort"] = arguments.sort(sort)
        return fields

    async def write_update(
        self,
        filter: Mapping[str, Any],
        update: Update,
        upsert: bool,
        multi: bool,
        array_filters: ArrayFilters = None,
        sort: Sort = None,
    ) -> UpdateResult:
        """Of every method that updates or replaces."""
        fields = self.update_fields(filter, update, upsert, multi, array_filters, sort)
        result = await _client.request(
            _mozaiks.DATABASE_UPDATE, _client.BSON, {**self._target, **fields}
        )
        upserted = result.get("upserted")
        return UpdateResult(
            matched_count=int(result["matched"]),
            modified_count=int(result["modified"]),
            upserted_id=upserted,
        )

    # ---- deleting ----

    async def delete_one(self, filter: Mapping[str, Any], **options: Any) -> DeleteResult:
        """Deletes the first document that matches."""
        arguments.refuse("delete_one", options)
        return await self.delete(filter, False)

    async def delete_many(self, filter: Mapping[str, Any], **options: Any) -> DeleteResult:
        """Deletes all documents that match."""
        arguments.refuse("delete_many", options)
        return await self.delete(filter, True)

    async def delete(self, filter: Mapping[str, Any], multi: bool) -> DeleteResult:
        """Of ``delete_one()`` and ``delete_many()``."""
        result = await _client.request(
            _mozaiks.DATABASE_DELETE,
            _client.BSON,
            {
                **self._target,
                "filter": arguments.mapping("filter", filter),
                "multi": multi,
            },
        )
        return DeleteResult(int(result["deleted"]))

    async def bulk_write(
        self, requests: Iterable[Write], ordered: bool = True, **options: Any
    ) -> BulkWriteResult:
        """Writes such as ``UpdateOne``, one after the other; ``ordered`` stops at an error."""
        arguments.refuse("bulk_write", options, ("bypass_document_validation",))
        return await Bulk(self, bool(ordered)).run(requests)

    async def bulk(self, writes: List[Dict[str, Any]], ordered: bool) -> List[Dict[str, Any]]:
        """Of ``bulk_write()``: what became of the writes that were made."""
        result = await _client.request(
            _mozaiks.DATABASE_BULK,
            _client.BSON,
            {**self._target, "writes": writes, "ordered": ordered},
        )
        results: List[Dict[str, Any]] = result["results"]
        return results

    # ---- finding and changing in one step ----

    async def find_one_and_update(
        self,
        filter: Mapping[str, Any],
        update: Update,
        projection: Projection = None,
        sort: Sort = None,
        upsert: bool = False,
        return_document: bool = False,
        array_filters: ArrayFilters = None,
        **options: Any,
    ) -> Optional[Document]:
        """Changes the first document that matches and returns it: as it was, or as it is then."""
        arguments.refuse("find_one_and_update", options)
        change: Dict[str, Any] = {}
        if array_filters is not None:
            change["array_filters"] = arguments.array_filters(array_filters)
        return await self._modify(
            filter,
            projection,
            sort,
            update=arguments.operators("find_one_and_update", update),
            upsert=bool(upsert),
            new=bool(return_document),
            **change,
        )

    async def find_one_and_replace(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        projection: Projection = None,
        sort: Sort = None,
        upsert: bool = False,
        return_document: bool = False,
        **options: Any,
    ) -> Optional[Document]:
        """Replaces the first document that matches and returns it: as it was, or as it is then."""
        arguments.refuse("find_one_and_replace", options)
        return await self._modify(
            filter,
            projection,
            sort,
            update=arguments.replacement(replacement),
            upsert=bool(upsert),
            new=bool(return_document),
        )

    async def find_one_and_delete(
        self,
        filter: Mapping[str, Any],
        projection: Projection = None,
        sort: Sort = None,
        **options: Any,
    ) -> Optional[Document]:
        """Deletes the first document that matches and returns it."""
        arguments.refuse("find_one_and_delete", options)
        return await self._modify(filter, projection, sort, remove=True)

    async def _modify(
        self, filter: Mapping[str, Any], projection: Projection, sort: Sort, **change: Any
    ) -> Optional[Document]:
        command: Dict[str, Any] = {
            **self._target,
            "filter": arguments.mapping("filter", filter),
            **change,
        }
        chosen = arguments.projection(projection)
        order = arguments.sort(sort)
        if chosen is not None:
            command["projection"] = chosen
        if order is not None:
            command["sort"] = order
        result = await _client.request(_mozaiks.DATABASE_MODIFY, _client.BSON, command)
        document: Optional[Document] = result["value"]
        return document

    # ---- indexes ----

    async def create_index(self, keys: Keys, **options: Any) -> str:
        """Declares an index; what is there already stays. Returns its name.

        In a collection of users' documents ``unique`` means: among the documents of one user.
        """
        return await self._create_index(arguments.index(keys, options))

    async def create_indexes(self, indexes: Iterable[IndexModel], **options: Any) -> List[str]:
        """Declares several indexes. Returns their names."""
        arguments.refuse("create_indexes", options)
        models = list(indexes)
        for model in models:
            if not isinstance(model, IndexModel):
                raise TypeError(f"{model!r} is no IndexModel")
        return [await self._create_index(arguments.index(m.keys, m.options)) for m in models]

    async def _create_index(self, index: Dict[str, Any]) -> str:
        await _client.request(
            _mozaiks.DATABASE_CREATE_INDEX,
            _client.BSON,
            {**self._target, "index": index},
        )
        return str(index["name"])

    async def drop_index(self, index_or_name: Union[str, Keys], **options: Any) -> None:
        """Drops an index, by its name or its keys."""
        arguments.refuse("drop_index", options)
        name = index_or_name
        if not isinstance(name, str):
            name = arguments.index_name(arguments.index_keys(name))
        await self._drop_index(name)

    async def drop_indexes(self, **options: Any) -> None:
        """Drops every index that was declared."""
        arguments.refuse("drop_indexes", options)
        await self._drop_index("*")

    async def _drop_index(self, name: str) -> None:
        await _client.request(
            _mozaiks.DATABASE_DROP_INDEX,
            _client.BSON,
            {**self._target, "name": name},
        )

    def list_indexes(self, **options: Any) -> CommandCursor:
        """The indexes, as a cursor."""
        arguments.refuse("list_indexes", options)
        return CommandCursor(_mozaiks.DATABASE_INDEXES, {**self._target})

    async def index_information(self, **options: Any) -> Dict[str, Any]:
        """The indexes by their names."""
        arguments.refuse("index_information", options)
        found = await self.list_indexes().to_list(None)
        return {
            index.pop("name"): {**index, "key": list(index["key"].items())} for index in found
        }

    # ---- what is not offered ----

    async def drop(self, *args: Any, **options: Any) -> NoReturn:
        """Not offered."""
        raise Unsupported("drop() is not offered: use delete_many({})")
