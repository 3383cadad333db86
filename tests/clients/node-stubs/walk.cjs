"use strict";
// Calls every RPC: the steps of ../stubs/walk.json.
//
// A step gives a request as protobuf JSON. `$name` stands for what an earlier step kept of its answer;
// an answer is held against paths of it, where `*` is anything that is not empty.

const assert = require("node:assert");
const grpc = require("@grpc/grpc-js");
const { methods } = require("./service.cjs");
const { message } = require("./wire.cjs");
const { steps } = require("../stubs/walk.json");

/** Takes all steps, and returns how many RPCs they called, if that is all there are. */
async function walk(service) {
  const kept = { $project: process.env.FLAGSTAFF_PROJECT };
  for (const [index, step] of steps.entries()) {
    try {
      await take(service, step, kept);
    } catch (error) {
      throw new Error(`step ${index + 1}, ${step.call}: ${error.message}`, { cause: error });
    }
  }
  const missing = Object.keys(methods).filter((name) => !service.called.has(methods[name].path));
  assert.deepStrictEqual(missing, [], `not called: ${missing}`);
  const all = Object.keys(methods).length;
  return `${all} of ${all}, in ${steps.length} calls`;
}

async function take(service, step, kept) {
  let answer;
  try {
    answer = await call(service, step, filled(step.request ?? {}, kept));
  } catch (error) {
    if (!step.code || grpc.status[error.code] !== step.code) throw error;
    return;
  }
  assert.ok(!step.code, `OK, not ${step.code}`);
  for (const [name, place] of Object.entries(step.keep ?? {})) kept[`$${name}`] = text(found(answer, place));
  for (const [place, wanted] of Object.entries(filled(step.answer ?? {}, kept))) {
    const value = found(answer, place);
    if (wanted === "*") assert.ok(value && value !== "0" && value.length !== 0, `${place} is empty`);
    else assert.strictEqual(text(value), text(wanted), `${place} is ${text(value)}, not ${text(wanted)}`);
  }
}

async function call(service, step, body) {
  const method = methods[step.call];
  const request = message(`flagstaff.v1.${method.requestType.type.name}`, body);
  if (!method.responseStream) return service.call(step.call, request);
  const stream = service.stream(step.call, request);
  const messages = [];
  for await (const answer of stream) {
    messages.push(answer);
    // Ending the loop would be an error of the stream, which nobody then hears.
    if (messages.length === step.messages) break;
  }
  return { messages };
}

/** The same JSON with `$name`, alone or as a part of a path, replaced by what was kept. */
function filled(value, kept) {
  if (Array.isArray(value)) return value.map((inner) => filled(inner, kept));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [filled(key, kept), filled(inner, kept)]));
  }
  if (typeof value !== "string") return value;
  // Those that begin with `$` and were never kept are names of events and properties.
  return value.split(".").map((part) => kept[part] ?? part).join(".");
}

function found(answer, place) {
  return place.split(".").reduce((value, part) => value?.[part], answer);
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

module.exports = { walk };
