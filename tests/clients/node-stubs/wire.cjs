"use strict";
// From protobuf JSON to what proto-loader takes: it knows no JSON form of google.protobuf's own types.

const { definition } = require("./service.cjs");

const KNOWN = {
  "google.protobuf.Struct": struct,
  "google.protobuf.Value": value,
  "google.protobuf.Timestamp": (text) => ({ seconds: Math.floor(Date.parse(text) / 1000), nanos: 0 }),
  "google.protobuf.FieldMask": (text) => ({ paths: text.split(",") }),
};

function struct(json) {
  return { fields: Object.fromEntries(Object.entries(json).map(([key, inner]) => [key, value(inner)])) };
}

function value(json) {
  if (json === null) return { nullValue: "NULL_VALUE" };
  if (Array.isArray(json)) return { listValue: { values: json.map(value) } };
  if (typeof json === "object") return { structValue: struct(json) };
  return { [`${typeof json}Value`.replace("booleanValue", "boolValue")]: json };
}

/** A message of the named type. */
function message(name, json) {
  if (KNOWN[name]) return KNOWN[name](json);
  const { field: fields, nestedType: nested } = definition[name].type;
  return Object.fromEntries(
    fields.filter((field) => field.name in json).map((field) => [field.name, fieldValue(field, nested, json[field.name])]),
  );
}

function fieldValue(field, nested, json) {
  if (field.type !== "TYPE_MESSAGE") return json;
  const entry = nested.find(({ name, options }) => name === field.typeName && options?.mapEntry);
  if (entry) {
    const inner = entry.field.find(({ name }) => name === "value");
    return Object.fromEntries(Object.entries(json).map(([key, held]) => [key, fieldValue(inner, [], held)]));
  }
  const name = field.typeName.includes(".") ? field.typeName : `flagstaff.v1.${field.typeName}`;
  return field.label === "LABEL_REPEATED" ? json.map((held) => message(name, held)) : message(name, json);
}

module.exports = { message, struct, value };
