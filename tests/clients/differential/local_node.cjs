// Evaluates locally with PostHog's Node SDK: people on stdin, a line of values for each on stdout.
// Flags that the SDK cannot decide are absent from the line. The first line is the number of flags
// that it has loaded.

const readline = require('node:readline')
const { PostHog } = require('posthog-node')

async function main() {
  const client = new PostHog(process.env.FLAGSTAFF_TOKEN, {
    host: process.env.FLAGSTAFF_URL,
    personalApiKey: process.env.FLAGSTAFF_SECRET,
    featureFlagsPollingInterval: 3_600_000,
  })
  if (!(await client.waitForLocalEvaluationReady(20_000))) throw new Error('no definitions were loaded')
  console.log(client.featureFlagsPoller.featureFlags.length)
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const person = JSON.parse(line)
    const values = await client.getAllFlags(person.distinct_id, {
      groups: person.groups,
      personProperties: person.person_properties,
      groupProperties: person.group_properties,
      onlyEvaluateLocally: true,
    })
    console.log(JSON.stringify(values))
  }
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
