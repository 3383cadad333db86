// Observes the service through PostHog's Go SDK; ../support/observed.py says what, and judges it.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"time"

	"github.com/posthog/posthog-go"
)

var (
	groups           = posthog.NewGroups().Set("company", "acme")
	personProperties = posthog.NewProperties().Set("plan", "pro")
	groupProperties  = map[string]posthog.Properties{"company": posthog.NewProperties().Set("tier", "gold")}
)

func main() {
	remote := client(posthog.Config{Endpoint: os.Getenv("FLAGSTAFF_URL"), Interval: 100 * time.Millisecond})
	local := client(posthog.Config{
		Endpoint:                           os.Getenv("FLAGSTAFF_RECORDED_URL"),
		PersonalApiKey:                     os.Getenv("FLAGSTAFF_KEY"),
		DefaultFeatureFlagsPollingInterval: time.Second,
	})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := json.Marshal(map[string]any{
			"remote": values(remote, false), "local": values(local, true), "remote_config": config(local),
		})
		check(err)
		os.Stdout.Write(append(answer, '\n'))
	}
	check(remote.Close())
	check(local.Close())
}

func client(config posthog.Config) posthog.Client {
	made, err := posthog.NewWithConfig(os.Getenv("FLAGSTAFF_TOKEN"), config)
	check(err)
	return made
}

func values(client posthog.Client, locally bool) map[string]any {
	said := map[string]any{}
	for _, key := range []string{"plain", "variant", "group"} {
		value, err := client.GetFeatureFlag(asked(key, locally))
		check(err)
		said[key] = value
	}
	payload, err := client.GetFeatureFlagPayload(asked("variant", locally))
	check(err)
	said["payload"] = json.RawMessage(payload)
	return said
}

func asked(key string, locally bool) posthog.FeatureFlagPayload {
	return posthog.FeatureFlagPayload{
		Key: key, DistinctId: "somebody", OnlyEvaluateLocally: locally,
		Groups: groups, PersonProperties: personProperties, GroupProperties: groupProperties,
	}
}

func config(client posthog.Client) json.RawMessage {
	payload, err := client.GetRemoteConfigPayload("settings")
	check(err)
	return json.RawMessage(payload)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
