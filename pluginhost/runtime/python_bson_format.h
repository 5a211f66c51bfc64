/* Numbers of the BSON format, for the encoder and the decoder. Source: bsonspec.org, version 1.1. */
#pragma once

enum {
	TYPE_DOUBLE = 0x01,
	TYPE_STRING = 0x02,
	TYPE_DOCUMENT = 0x03,
	TYPE_ARRAY = 0x04,
	TYPE_BINARY = 0x05,
	TYPE_OBJECT_ID = 0x07,
	TYPE_BOOL = 0x08,
	TYPE_DATE = 0x09,
	TYPE_NULL = 0x0a,
	TYPE_REGEX = 0x0b,
	TYPE_INT32 = 0x10,
	TYPE_TIMESTAMP = 0x11,
	TYPE_INT64 = 0x12,
	TYPE_DECIMAL128 = 0x13,
	TYPE_MAX_KEY = 0x7f,
	TYPE_MIN_KEY = 0xff,
};

enum { SUBTYPE_GENERIC = 0, SUBTYPE_UUID = 4, OBJECT_ID_SIZE = 12, DECIMAL128_SIZE = 16 };
