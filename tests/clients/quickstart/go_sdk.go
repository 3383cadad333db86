package main

import (
	"fmt"
	"log"
	"os"

	"github.com/posthog/posthog-go"
)

func main() {
	client, err := posthog.NewWithConfig(os.Getenv("TOKEN"), posthog.Config{
		Endpoint: "http://127.0.0.1:8080",
		// With it, the SDK decides by itself where it can, from definitions that it polls.
		PersonalApiKey: os.Getenv("KEY"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ann := posthog.FeatureFlagPayload{
		Key: "checkout", DistinctId: "ann", PersonProperties: posthog.NewProperties().Set("country", "NZ"),
	}
	on, err := client.IsFeatureEnabled(ann)
	if err != nil {
		log.Fatal(err)
	}
	if on == true {
		payload, err := client.GetFeatureFlagPayload(ann)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("on for ann, with", payload)
	}
}
