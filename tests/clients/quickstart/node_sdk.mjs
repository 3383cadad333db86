import { PostHog } from "posthog-node";

const { TOKEN, SECRET } = process.env;

// Asks the service: one request for all flags.
const client = new PostHog(TOKEN, { host: "http://127.0.0.1:8080" });
const flags = await client.evaluateFlags("ann", { personProperties: { country: "NZ" } });
if (flags.isEnabled("checkout")) {
  console.log(`on for ann, with a ${flags.getFlagPayload("checkout").button} button`);
}
await client.shutdown();

// Decides by itself, from definitions that it fetches every 30 seconds.
const local = new PostHog(TOKEN, { host: "http://127.0.0.1:8080", secretKey: SECRET });
await local.waitForLocalEvaluationReady();
const known = await local.evaluateFlags("ben", { personProperties: { country: "FR" } });
console.log(known.isEnabled("checkout") ? "on for ben" : "off for ben");
await local.shutdown();
