// Calls that the page of the quick start does not make, for main.mjs to make.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { EvaluationService } from "./gen/flagstaff/v1/evaluation_service_pb.js";
import { FeatureFlagService } from "./gen/flagstaff/v1/feature_flag_service_pb.js";
import { IngestService } from "./gen/flagstaff/v1/ingest_service_pb.js";

const ids = [];
const keepId = (next) => async (request) => {
  const answer = await next(request);
  ids.push(answer.header.get("x-request-id"));
  return answer;
};
const transport = createGrpcWebTransport({ baseUrl: "http://127.0.0.1:8080", interceptors: [keepId] });
const services = {
  evaluation: createClient(EvaluationService, transport),
  flags: createClient(FeatureFlagService, transport),
  ingestion: createClient(IngestService, transport),
};

/** What a call comes to: its answer, or its error as a page can read it. */
window.call = async (service, method, request, token = "phc_…") => {
  try {
    const answer = services[service][method](request, { headers: { authorization: `Bearer ${token}` }, timeoutMs: 5000 });
    if (answer[Symbol.asyncIterator]) {
      let count = 0;
      for await (const _ of answer) count++;
      return { count };
    }
    const told = await answer;
    return { enabled: told.flag?.enabled, id: ids.at(-1) };
  } catch (error) {
    const { code, rawMessage, details } = ConnectError.from(error);
    return { code: Code[code], message: rawMessage, details: details.map((detail) => detail.type ?? detail.desc?.typeName) };
  }
};
