import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { EvaluationService } from "./gen/flagstaff/v1/evaluation_service_pb.js";

const transport = createGrpcWebTransport({ baseUrl: "http://127.0.0.1:8080" });
const service = createClient(EvaluationService, transport);
const headers = { authorization: "Bearer phc_…" };
const subject = { distinctId: "ann", personProperties: { country: "NZ" } };

async function show() {
  const { flags } = await service.evaluateFlags({ subject }, { headers, timeoutMs: 2000 });
  const on = flags.checkout?.enabled;
  document.querySelector("#said").textContent = on ? "on for you" : "off for you";
}

// With the public token, the stream tells that something changed, and never what.
for (;;) {
  try {
    for await (const event of service.watchFlags({}, { headers })) {
      if (event.event.case === "revisionNotice") await show();
    }
  } catch (error) {
    console.warn("watching again", error.message);
  }
  await new Promise((passed) => setTimeout(passed, 1000));
}
