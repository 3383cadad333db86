"use strict";
// Generated Node stubs against the service: a line for each capability.

const checks = require("./checks.cjs");
const { Service } = require("./service.cjs");
const { walk } = require("./walk.cjs");
const { restart, watch } = require("./watch.cjs");

const CAPABILITIES = [
  ["every RPC", walk],
  ["typed filters", checks.typedFilters],
  ["metadata", checks.metadata],
  ["credentials", checks.credentials],
  ["error details", checks.errorDetails],
  ["retry info", checks.retryInfo],
  ["batch stream", checks.streamed],
  ["compression", checks.compression],
  ["deadline", checks.deadline],
  ["watch", watch],
  ["watch through a restart", restart],
];

async function main() {
  const service = new Service();
  for (const [capability, check] of CAPABILITIES) {
    let [outcome, told] = ["ok", ""];
    try {
      told = await check(service);
    } catch (error) {
      console.error(error);
      [outcome, told] = ["fail", String(error.message).replace(/\s+/g, " ")];
    }
    console.log(`${capability}\t${outcome}\t${told}`);
  }
  service.close();
}

main();
