"use strict";
// The service, as a program with @grpc/grpc-js reaches it: the stubs are made from the .proto files.

const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const PACKAGE = "flagstaff.v1";
const PROJECT = process.env.FLAGSTAFF_PROJECT;
const FILES = ["feature_flag", "evaluation", "directory", "ingest", "project"];

const definition = loader.loadSync(
  [...FILES.map((name) => `flagstaff/v1/${name}_service.proto`), path.join(__dirname, "details.proto")],
  {
    includeDirs: [process.env.FLAGSTAFF_PROTO],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  },
);
const { flagstaff } = grpc.loadPackageDefinition(definition);
const isService = (described) => !("format" in described);

/** Every method of every service, by `Service.Method`. */
const methods = Object.fromEntries(
  Object.entries(definition)
    .filter(([name, described]) => name.startsWith(`${PACKAGE}.`) && isService(described))
    .flatMap(([name, described]) =>
      Object.entries(described).map(([method, its]) => [`${name.slice(PACKAGE.length + 1)}.${method}`, its]),
    ),
);

/** Clients of all services, with one key; keeps the paths of the methods that were called. */
class Service {
  constructor(key = process.env.FLAGSTAFF_KEY, options = {}) {
    this.called = new Set();
    const withKey = (settings, next) => {
      this.called.add(settings.method_definition.path);
      return new grpc.InterceptingCall(next(settings), {
        start(metadata, listener, go) {
          metadata.set("authorization", `Bearer ${key}`);
          go(metadata, listener);
        },
      });
    };
    this.clients = Object.fromEntries(
      Object.entries(definition)
        .filter(([name, described]) => name.startsWith(`${PACKAGE}.`) && isService(described))
        .map(([name]) => name.slice(PACKAGE.length + 1))
        .map((name) => [
          name,
          new flagstaff.v1[name](process.env.FLAGSTAFF_GRPC, grpc.credentials.createInsecure(), {
            interceptors: [withKey],
            ...options,
          }),
        ]),
    );
  }

  /** Calls a method with one answer; `told` takes what the service sends beside it. */
  call(name, request, { metadata = new grpc.Metadata(), told = {}, ...options } = {}) {
    const [owner, method] = name.split(".");
    return new Promise((resolve, reject) => {
      const call = this.clients[owner][method](
        { project_id: PROJECT, ...request },
        metadata,
        { deadline: Date.now() + 20_000, ...options },
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
      call.on("metadata", (sent) => (told.metadata = sent));
    });
  }

  /** Opens a stream of answers, which `for await` reads. */
  stream(name, request, options = {}) {
    const [owner, method] = name.split(".");
    const metadata = new grpc.Metadata({ waitForReady: true });
    const settings = { deadline: Date.now() + 20_000, ...options };
    return this.clients[owner][method]({ project_id: PROJECT, ...request }, metadata, settings);
  }

  close() {
    for (const client of Object.values(this.clients)) client.close();
  }
}

/** ErrorInfo, BadRequest and RetryInfo of an error, by name. */
function details(error) {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const found = {};
  for (const { type_url: url, value } of definition["google.rpc.Status"].deserialize(packed).details) {
    const name = url.slice(url.lastIndexOf("/") + 1);
    if (definition[name]) found[name.slice("google.rpc.".length)] = definition[name].deserialize(value);
  }
  return found;
}

/** Asks the runner for something: `/restart` of the service, or a command of its binary. */
async function control(place, body) {
  const sent = { method: "POST", body: body && JSON.stringify(body) };
  const answer = await fetch(process.env.FLAGSTAFF_CONTROL + place, sent);
  if (!answer.ok) throw new Error(`${place}: ${answer.status}`);
  return answer.text();
}

/** A personal API key of this project alone, by the command line. */
async function newKey(scopes) {
  const told = await control("/flagstaff", ["keys", "create", "--project", PROJECT, "--scopes", scopes]);
  return told.trim().split("\n").at(-1);
}

module.exports = { Service, control, definition, details, methods, newKey };
