"use strict";
// What a program expects of gRPC beside its calls: typed fields, deadlines, metadata, errors, compression.

const assert = require("node:assert");
const { randomUUID } = require("node:crypto");
const grpc = require("@grpc/grpc-js");
const { Service, details, newKey } = require("./service.cjs");
const { value } = require("./wire.cjs");

const SUBJECTS = 2000;
const subjects = Array.from({ length: SUBJECTS }, (_, number) => ({ distinct_id: `person-${number}` }));

/** A flag written with the names of the .proto says in JSON what they say. */
async function typedFilters(service) {
  const property = (key, held) => ({
    key, type: "PROPERTY_TYPE_PERSON", operator: "PROPERTY_OPERATOR_EXACT", value: value(held),
  });
  const filters = {
    groups: [{
      properties: [property("country", ["AU", "NZ"]), property("seats", 12)],
      rollout_percentage: 33.5,
      variant: "blue",
    }],
    multivariate: { variants: ["blue", "green"].map((key) => ({ key, rollout_percentage: 50 })) },
  };
  const { feature_flag: flag } = await service.call("FeatureFlagService.CreateFeatureFlag", {
    feature_flag: { key: "typed", filters },
  });
  assert.strictEqual(flag.filters.groups[0].properties[0].operator, "PROPERTY_OPERATOR_EXACT");
  const [stored] = JSON.parse(flag.filters_json).groups;
  assert.deepStrictEqual(stored.properties.map((found) => found.value), [["AU", "NZ"], 12]);
  assert.strictEqual(stored.rollout_percentage, 33.5);
  return "numbers, lists and enums as JSON has them";
}

/** A deadline ends a stream that would go on. */
async function deadline(service) {
  const stream = service.stream("EvaluationService.WatchFlags", {}, { deadline: Date.now() + 200 });
  const error = await refused(read(stream));
  assert.strictEqual(error.code, grpc.status.DEADLINE_EXCEEDED, error.message);
  return grpc.status[error.code];
}

/** A call's metadata reach the service, and its answer has some of its own. */
async function metadata(service) {
  const [name, sent, told] = [randomUUID(), new grpc.Metadata(), {}];
  sent.set("x-request-id", name);
  const subject = { distinct_id: "ann" };
  const answer = await service.call("EvaluationService.EvaluateFlags", { subject }, { metadata: sent, told });
  assert.strictEqual(answer.request_id, name);
  assert.ok(told.metadata.get("date").length, told.metadata);
  return "x-request-id there and back";
}

/** A key that is none, and one of too small a scope. */
async function credentials() {
  for (const [key, code] of [["phx_none", "UNAUTHENTICATED"], [await newKey("cohort:read"), "PERMISSION_DENIED"]]) {
    const other = new Service(key);
    const error = await refused(other.call("FeatureFlagService.ListFeatureFlags", {}));
    other.close();
    assert.strictEqual(grpc.status[error.code], code, error.message);
    assert.ok(["401", "403"].includes(details(error).ErrorInfo.metadata.http_status));
  }
  return "UNAUTHENTICATED, PERMISSION_DENIED";
}

/** Errors say what REST says, in the details every language can decode. */
async function errorDetails(service) {
  const error = await refused(
    service.call("FeatureFlagService.CreateFeatureFlag", { feature_flag: { key: "no spaces" } }),
  );
  const { ErrorInfo: info, BadRequest: bad } = details(error);
  assert.deepStrictEqual([info.reason, info.domain], ["invalid_key", "flagstaff"]);
  assert.deepStrictEqual([info.metadata.http_status, info.metadata.attr], ["400", "key"]);
  assert.strictEqual(bad.field_violations[0].field, "key");
  assert.ok(bad.field_violations[0].description);
  return "ErrorInfo and BadRequest";
}

/** A throttled caller is told when to come back, in whole seconds. */
async function retryInfo(service) {
  const { feature_flag: flag } = await service.call("FeatureFlagService.CreateFeatureFlag", {
    feature_flag: { key: "throttled" },
  });
  const throttled = new Service(await newKey("feature_flag:read"));
  try {
    for (let call = 0; call < 241; call += 1) {
      const error = await refused(
        throttled.call("FeatureFlagService.TestEvaluation", { id: flag.id, distinct_id: "nobody" }),
      );
      if (error.code === grpc.status.RESOURCE_EXHAUSTED) {
        const { ErrorInfo: info, RetryInfo: retry } = details(error);
        const { seconds, nanos } = retry.retry_delay;
        assert.ok(info.reason === "throttled" && nanos === 0 && seconds >= 1 && seconds <= 60, `${info} ${retry}`);
        return `RESOURCE_EXHAUSTED, again in ${seconds} s`;
      }
      assert.strictEqual(error.code, grpc.status.NOT_FOUND, error.message);
    }
  } finally {
    throttled.close();
  }
  throw new Error("241 calls of test_evaluation were let through");
}

/** Many subjects in one call, answered in order. */
async function streamed(service) {
  const answers = await read(service.stream("EvaluationService.BatchEvaluateFlags", { subjects }));
  assert.deepStrictEqual(answers.map(({ distinct_id }) => distinct_id), subjects.map(({ distinct_id }) => distinct_id));
  assert.ok(answers.every(({ index }, position) => index === position));
  return `${SUBJECTS} answers in order`;
}

/** Requests and answers in gzip. */
async function compression() {
  const gzip = grpc.compressionAlgorithms.gzip;
  const compressed = new Service(undefined, { "grpc.default_compression_algorithm": gzip });
  await streamed(compressed);
  compressed.close();
  return `gzip, ${SUBJECTS} subjects`;
}

async function read(stream) {
  const answers = [];
  for await (const answer of stream) answers.push(answer);
  return answers;
}

/** The error of a call that has to fail. */
async function refused(call) {
  let answer;
  try {
    answer = await call;
  } catch (error) {
    return error;
  }
  throw new Error(`OK: ${JSON.stringify(answer)}`);
}

module.exports = { compression, credentials, deadline, errorDetails, metadata, retryInfo, streamed, typedFilters };
