"use strict";
// Follows a project through WatchFlags, and through a restart of the service.

const assert = require("node:assert");
const grpc = require("@grpc/grpc-js");
const { control } = require("./service.cjs");

/** Holds a project's flags, by key, and the revision they are at. */
class Follower {
  constructor(service) {
    this.service = service;
    this.flags = {};
    this.pending = {};
    this.kinds = [];
    this.connect();
  }

  connect() {
    const request = this.revision === undefined ? {} : { from_revision: this.revision };
    const deadline = Date.now() + 60_000;
    this.stream = this.service.stream("EvaluationService.WatchFlags", request, { deadline });
    this.events = this.stream[Symbol.asyncIterator]();
    this.read();
  }

  /** Asks for the next event before it is needed: an error that comes first would be nobody's. */
  read() {
    this.next = this.events.next();
    this.next.catch(() => {});
  }

  /** Reads events until a condition holds, through as many streams as it takes. */
  async follow(until) {
    while (!until(this.flags)) {
      try {
        this.take((await this.next).value);
        this.read();
      } catch (error) {
        if (error.code !== grpc.status.UNAVAILABLE) throw error;
        this.kinds.push("reconnected");
        this.connect();
      }
    }
  }

  take(message) {
    this.kinds.push(message.event);
    if (message.event === "snapshot") {
      for (const flag of message.snapshot.definitions.flags) this.pending[flag.key] = flag.active;
      if (message.snapshot.has_more) return;
      [this.flags, this.pending] = [this.pending, {}];
    } else if (message.event === "delta") {
      for (const flag of message.delta.removed) delete this.flags[flag.key];
      for (const flag of message.delta.upserted) this.flags[flag.key] = flag.active;
    }
    this.revision = message.revision;
  }

  /** Stops following; what the stream says of that is not news. */
  end() {
    this.stream.on("error", () => {});
    this.stream.cancel();
  }
}

/** A snapshot first, then what changes. */
async function watch(service) {
  const { id } = await create(service, "watched");
  const follower = new Follower(service);
  await follower.follow((flags) => "watched" in flags);
  assert.strictEqual(follower.kinds[0], "snapshot");
  await service.call("FeatureFlagService.DisableFeatureFlag", { id });
  await follower.follow((flags) => flags.watched === false);
  await service.call("FeatureFlagService.DeleteFeatureFlag", { id });
  await follower.follow((flags) => !("watched" in flags));
  follower.end();
  assert.ok(follower.kinds.every((kind) => ["snapshot", "delta", "heartbeat"].includes(kind)), `${follower.kinds}`);
  return "a change and a removal, as deltas";
}

/** The service stops and starts again; what changed while nobody listened comes as a delta. */
async function restart(service) {
  const follower = new Follower(service);
  await create(service, "before-restart");
  await follower.follow((flags) => "before-restart" in flags);
  follower.kinds.length = 0;
  await control("/restart");
  await create(service, "after-restart");
  await follower.follow((flags) => "after-restart" in flags);
  follower.end();
  assert.ok(follower.kinds.includes("shutdown") && follower.kinds.includes("reconnected"), `${follower.kinds}`);
  assert.ok(!follower.kinds.includes("snapshot") && "before-restart" in follower.flags, `${follower.kinds}`);
  return "a shutdown notice, UNAVAILABLE, then the delta that was missed";
}

async function create(service, key) {
  const metadata = new grpc.Metadata({ waitForReady: true });
  const request = { feature_flag: { key } };
  return (await service.call("FeatureFlagService.CreateFeatureFlag", request, { metadata })).feature_flag;
}

module.exports = { restart, watch };
